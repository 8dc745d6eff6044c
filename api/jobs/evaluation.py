"""GET /jobs/{id}/evaluation: the metrics of the best model on rows that were not used for training."""

from flask import Response

from api.auth.projects import find_job
from api.http.answer import json_response
from api.http.operation import json_answer, operation
from api.http.query import no_query
from api.jobs.find import state_of
from api.shapes.base import take_fields
from api.shapes.jobs import Evaluation as ShownEvaluation
from shared.evaluation import Evaluation, read_evaluation
from shared.job import TERMINAL
from shared.job_folder import JobFolder
from shared.problems import NotFound


@operation(
    "getEvaluation",
    "files",
    "Show the evaluation of the best model",
    {200: json_answer("The evaluation.", ShownEvaluation)},
    errors=(404,),
)
def show(job_id: str) -> Response:
    """Show how good the best model is on the validation part, and on the test part if there is one.

    It is computed once, after the last epoch.
    """
    no_query()
    job = find_job(job_id)
    evaluation = _newest(job)
    if evaluation is None:
        raise NotFound(_why_none(job))
    return json_response(take_fields(ShownEvaluation, evaluation, object="evaluation", job=job_id))


def _newest(job: JobFolder) -> Evaluation | None:
    found = (read_evaluation(attempt) for attempt in reversed(job.attempts()))
    return next((one for one in found if one is not None), None)


def _why_none(job: JobFolder) -> str:
    state = state_of(job)
    if state.status not in TERMINAL:
        return "there is no evaluation yet: the best model is evaluated after the last epoch"
    return (
        "there is no evaluation: the job ended before its best model was evaluated; see the job's events for the reason"
    )
