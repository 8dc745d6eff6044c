"""POST /jobs/{id}/cancel, DELETE /jobs/{id}."""

from flask import Response

from api.auth.projects import find_job
from api.http.answer import json_response
from api.http.operation import Answer, json_answer, operation
from api.http.query import no_query
from api.jobs.find import state_of
from api.jobs.show import job_document
from api.shapes.jobs import Job
from api.state.past_jobs import past_job
from api.state.service import service
from shared.job_folder import JobFolder
from shared.open_job import OpenJob
from shared.problems import Conflict, NotFound
from shared.settling import settle_if_decided
from shared.sweep.folder import find_sweep


@operation(
    "cancelJob",
    "jobs",
    "Cancel a job",
    {200: json_answer("The job, cancelled or with the cancellation requested.", Job)},
    errors=(404, 409, 507),
)
def cancel(job_id: str) -> Response:
    """Cancel a job: a queued one ends at once, a running one saves its state first. Repeating it changes nothing.

    The request is stored before the state is read, so a worker that claims the job in between finds the request. A
    worker that claimed it earlier finds the result, since it reads the job again after its claim.
    """
    no_query()
    folder = find_job(job_id)
    cancel_job(folder)
    result = folder.result()
    if result is not None and result.ending.status != "cancelled":
        raise Conflict(f"the job has {result.ending.status} already and cannot be cancelled")
    return json_response(job_document(folder))


def cancel_job(folder: JobFolder) -> None:
    """Request the cancellation of an unfinished job. If no worker has claimed it, the job ends at once."""
    if state_of(folder).result is None:
        folder.request_cancel()
        state = state_of(folder)
        if settle_if_decided(folder, state):
            service().volume.close_job(OpenJob.of(state.record))


@operation("deleteJob", "jobs", "Delete a finished job", {204: Answer("Deleted.")}, errors=(404, 409))
def delete(job_id: str) -> tuple[str, int]:
    """Delete a finished job with its models and logs: 204. `GET /usage` still counts what it cost."""
    no_query()
    folder = find_job(job_id)
    state = state_of(folder)
    if state.result is None:
        raise Conflict(f"the job is {state.status}; cancel it first, and delete it when it has finished")
    if (trial := state.record.sweep) and (sweep := find_sweep(service().volume, trial.id)):
        sweep.forget_job(trial.trial)
    service().usage.keep_spent(state.record.project, folder)
    if past := past_job(folder):
        service().deleted_jobs.keep(past)
    if not service().volume.remove_job(OpenJob.of(state.record)):
        raise NotFound("there is no job with this id")
    service().shares.revoke_all(job_id)
    service().usage.forget(state.record.project)
    return "", 204
