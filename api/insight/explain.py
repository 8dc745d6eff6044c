"""GET /jobs/{id}/explain: why the job waits, why it still runs, or why it stopped."""

from flask import Response

from api.auth.projects import find_job
from api.http.answer import json_response
from api.http.operation import json_answer, operation
from api.http.query import no_query
from api.jobs.report import epoch_progress
from api.jobs.system import finding_of
from api.shapes.jobs import Explanation
from api.state.able_workers import able_workers, explain_unable
from api.state.histories import histories
from api.state.service import service
from shared.events import last_epoch_event
from shared.explain import Waits, explain
from shared.job_folder import JobState
from shared.open_job import OpenJob
from shared.problems import NotFound
from shared.times import seconds_since


@operation(
    "explainJob",
    "insight",
    "Explain why a job waits, runs or has stopped",
    {200: json_answer("The explanation.", Explanation)},
    errors=(404,),
)
def show(job_id: str) -> Response:
    """Explain the state of the job in two or three sentences."""
    no_query()
    folder = find_job(job_id)
    state = folder.state()
    if state is None:
        raise NotFound("there is no job with this id")
    event = last_epoch_event(folder.runs())
    sentences = explain(
        state,
        epoch_progress(event) if event else None,
        state.record.spec.callbacks.early_stopping if state.record.task else histories().of(folder).rule,
        _waits(state) if state.status == "queued" else Waits(),
    )
    finding = finding_of(folder)
    if finding is not None and finding.has_waited:
        sentences.append(finding.text)
    return json_response(
        Explanation(
            object="explanation", job=job_id, status=state.status, sentences=sentences, text=" ".join(sentences)
        )
    )


def _waits(state: JobState) -> Waits:
    current, record = service(), state.record
    lost_after = current.settings.take_over_seconds
    alive = [card for card in current.volume.worker_cards() if seconds_since(card.seen_at) <= lost_after]
    unable = explain_unable(record.spec, alive, lost_after)
    position = current.places.of(OpenJob.of(record)).get(record.id)
    return Waits(position, able_workers(record.spec, alive), unable[1] if unable else "")
