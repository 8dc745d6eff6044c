"""POST /jobs/{id}/cancel, DELETE /jobs/{id}."""

from flask import Response, jsonify

from api.http.query import no_query
from api.jobs.find import state_of
from api.jobs.show import job_document
from api.state.service import service
from shared.events import epochs_done
from shared.job import Ending, Stop
from shared.job_folder import JobFolder
from shared.problems import Conflict, NotFound
from shared.volume import OpenJob


def cancel(job_id: str) -> Response:
    """Cancel a job: a queued one ends at once, a running one saves its state first. Repeating it changes nothing.

    The request is written before the state is read: a worker that claims the job in between finds the request. One
    that claimed it before finds the result when it looks again after its claim.
    """
    no_query()
    folder = service().job(job_id)
    if state_of(folder).result is None:
        folder.request_cancel()
        _end_if_queued(folder)
    result = folder.result()
    if result is not None and result.ending.status != "cancelled":
        raise Conflict(f"the job has {result.ending.status} already and cannot be cancelled")
    return jsonify(job_document(folder))


def delete(job_id: str) -> tuple[str, int]:
    """Delete a finished job with its models and logs: 204."""
    no_query()
    folder = service().job(job_id)
    state = state_of(folder)
    if state.result is None:
        raise Conflict(f"the job is {state.status}; cancel it first, and delete it when it has finished")
    if not service().volume.remove_job(OpenJob(state.record.spec.priority, job_id)):
        raise NotFound("there is no job with this id")
    return "", 204


def _end_if_queued(folder: JobFolder) -> None:
    state = state_of(folder)
    if state.status != "queued":
        return
    last_epoch = epochs_done(folder)
    epochs = state.record.spec.hyperparameters.epochs
    stop = Stop(reason="cancelled", last_epoch=last_epoch, epochs_not_run=epochs - last_epoch)
    if folder.settle(Ending(status="cancelled", stop=stop), attempt=None):
        service().volume.close_job(OpenJob(state.record.spec.priority, folder.id))
