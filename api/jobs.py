"""POST /jobs, POST /jobs/{id}/cancel and /retry, DELETE /jobs/{id}."""

from functools import partial
from typing import Any

from flask import Response, jsonify

from api.access import caller
from api.idempotency import stored_once
from api.job_view import job_document
from api.problems import HttpProblem
from api.query import Query, no_query
from api.report import dry_run_report, epoch_progress, last_epoch_event
from api.service import service
from api.strict_json import read_object
from shared.dataset import DatasetInfo
from shared.ids import new_job_id
from shared.job import Ending, JobRecord, Stop
from shared.job_folder import JobFolder, JobState
from shared.problems import Conflict, NotFound
from shared.resolve import resolve
from shared.spec import JobSpec
from shared.times import utc_now
from shared.validation import validated
from shared.volume import OpenJob


def submit() -> tuple[Response, int, dict[str, str]]:
    """Store a new job, then ring: when the client hears 202 the job is safe, whether anybody heard the bell or not.

    With `dry_run=true` all of the check is done, nothing is stored, and the answer is 200.
    """
    with Query("dry_run") as query:
        is_dry = query.flag("dry_run")
    settings = service().settings
    document = read_object(settings.max_job_bytes, settings.max_json_depth)
    if is_dry:
        return jsonify(dry_run_report(_posted(document, new_job_id()))), 200, {}
    return _stored(stored_once(document, partial(_posted, document)))


def cancel(job_id: str) -> Response:
    """End a job that waits at once; ask a job that runs to end. Asking again changes nothing.

    The wish is written before the state is read: a worker that claims the job in between finds the wish, and one that
    claimed it before finds the result when it looks again after its claim.
    """
    no_query()
    folder = service().job(job_id)
    if _state(folder).result is None:
        folder.request_cancel()
        _end_if_queued(folder)
    result = folder.result()
    if result is not None and result.ending.status != "cancelled":
        raise Conflict(f"the job has {result.ending.status} already and cannot be cancelled")
    return jsonify(job_document(folder))


def retry(job_id: str) -> tuple[Response, int, dict[str, str]]:
    """Store a new job with the spec of one that has failed or was cancelled, on the same data."""
    no_query()
    state = _state(service().job(job_id))
    if state.status not in {"failed", "cancelled"}:
        raise Conflict(f"the job is {state.status}; only one that has failed or was cancelled is tried anew")
    return _stored(stored_once({"retry_of": job_id}, partial(_tried_anew, state.record)))


def delete(job_id: str) -> tuple[str, int]:
    """Remove a job that is over, with its models and logs: 204."""
    no_query()
    folder = service().job(job_id)
    state = _state(folder)
    if state.result is None:
        raise Conflict(f"the job is {state.status}; cancel it first, and delete it when it is over")
    if not service().volume.remove_job(OpenJob(state.record.spec.priority, job_id)):
        raise NotFound("there is no job of this id")
    return "", 204


def _stored(folder: JobFolder) -> tuple[Response, int, dict[str, str]]:
    service().doorbell.ring(folder.id)
    return jsonify(job_document(folder)), 202, {"Location": f"/jobs/{folder.id}"}


def _posted(document: dict[str, Any], job_id: str) -> JobRecord:
    return _new_record(validated(JobSpec, document), job_id)


def _tried_anew(before: JobRecord, job_id: str) -> JobRecord:
    record = _new_record(before.spec, job_id, retry_of=before.id)
    if record.data_sha256 != before.data_sha256:
        raise Conflict(f'the dataset "{record.spec.dataset.id}" holds other data by now; post the spec as a new job')
    return record


def _new_record(asked: JobSpec, job_id: str, retry_of: str | None = None) -> JobRecord:
    data = _dataset(asked.dataset.id)
    resolved = resolve(asked, data)
    return JobRecord(
        id=job_id,
        created_at=utc_now(),
        spec=resolved.spec,
        task=resolved.task,
        data_sha256=data.data_sha256,
        warnings=resolved.warnings,
        retry_of=retry_of,
        key_id=caller().key_id,
    )


def _dataset(dataset_id: str) -> DatasetInfo:
    data = service().volume.dataset(dataset_id)
    if data is None:
        raise HttpProblem(
            404, "unknown_dataset", f'there is no dataset "{dataset_id}"; PUT /datasets/{dataset_id} first'
        )
    return data


def _end_if_queued(folder: JobFolder) -> None:
    state = _state(folder)
    if state.status != "queued":
        return
    event = last_epoch_event(folder.attempts())
    progress = epoch_progress(event) if event else None
    last_epoch = progress.epoch if progress else 0
    epochs = state.record.spec.hyperparameters.epochs
    stop = Stop(reason="cancelled", last_epoch=last_epoch, epochs_not_run=epochs - last_epoch)
    if folder.settle(Ending(status="cancelled", stop=stop), attempt=None):
        service().volume.close_job(OpenJob(state.record.spec.priority, folder.id))


def _state(folder: JobFolder) -> JobState:
    state = folder.state()
    if state is None:
        raise NotFound("there is no job of this id")  # deleted since it was found
    return state
