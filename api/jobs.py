"""POST /jobs, GET /jobs, GET /jobs/{id}, POST /jobs/{id}/cancel."""

import logging
from collections.abc import Iterator
from itertools import islice
from typing import Any

from flask import Response, jsonify
from pydantic import ValidationError

from api.histories import histories
from api.problems import HttpProblem
from api.query import Query, no_query
from api.queue_order import queue_position, queued_jobs
from api.report import epoch_progress, job_report, last_epoch_event, list_report
from api.service import service
from api.strict_json import read_object
from api.usage import ledger_report
from shared.dataset import DatasetInfo
from shared.ids import is_job_id, new_job_id
from shared.job import TERMINAL, Ending, JobRecord, Stop
from shared.job_folder import JobFolder, JobState
from shared.problems import Conflict
from shared.resolve import resolve
from shared.spec import JobSpec
from shared.times import utc_now
from shared.validation import validated
from shared.volume import OpenJob

_STATUSES = TERMINAL | {"queued", "running"}

log = logging.getLogger(__name__)


def submit() -> tuple[Response, int, dict[str, str]]:
    """Store a new job, then ring: when the client hears 202 the job is safe, whether anybody heard the bell or not."""
    no_query()
    record = _new_record(_asked())
    folder = service().volume.store_job(record)
    service().doorbell.ring(record.id)
    return jsonify(_shown(folder)), 202, {"Location": f"/jobs/{record.id}"}


def show_all() -> Response:
    """The jobs, newest first; `after` is the last id of the page before."""
    with Query("limit", "after", "status") as query:
        limit = query.integer("limit", 20, 1, 100)
        after = query.parsed("after", _job_cursor, "")
        statuses = query.choices("status", _STATUSES)
    found = list(islice(_states(after, statuses), limit + 1))
    places = {job_id: place for place, job_id in enumerate(queued_jobs(service().volume), 1)}
    failures = service().settings.max_failures
    items = [job_report(folder, state, places.get(folder.id), failures) for folder, state in found[:limit]]
    return jsonify(list_report(items, has_more=len(found) > limit))


def show(job_id: str) -> Response:
    """One job."""
    no_query()
    return jsonify(_shown(service().job(job_id)))


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
    return jsonify(_shown(folder))


def _asked() -> JobSpec:
    settings = service().settings
    return validated(JobSpec, read_object(settings.max_job_bytes, settings.max_json_depth))


def _new_record(asked: JobSpec) -> JobRecord:
    data = _dataset(asked.dataset.id)
    resolved = resolve(asked, data)
    return JobRecord(
        id=new_job_id(),
        created_at=utc_now(),
        spec=resolved.spec,
        task=resolved.task,
        data_sha256=data.data_sha256,
        warnings=resolved.warnings,
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


def _states(after: str, statuses: frozenset[str]) -> Iterator[tuple[JobFolder, JobState]]:
    """The jobs behind `after`, newest first; a damaged one is logged and left out, so that the others are seen."""
    for job_id in service().volume.job_ids():
        if after and job_id >= after:
            continue
        folder = service().volume.job_folder(job_id)
        state = _readable_state(folder)
        if state is not None and (not statuses or state.status in statuses):
            yield folder, state


def _readable_state(folder: JobFolder) -> JobState | None:
    try:
        return folder.state()
    except ValidationError as error:
        log.error("%s is damaged and left out of the list: %s", folder.id, error.title)
        return None


def _state(folder: JobFolder) -> JobState:
    state = folder.state()
    assert state is not None, "a job that was found does not go away"
    return state


def _shown(folder: JobFolder) -> dict[str, Any]:
    state = _state(folder)
    position = queue_position(service().volume, folder.id) if state.status == "queued" else None
    report = job_report(folder, state, position, service().settings.max_failures)
    return {**report, "ledger": ledger_report(histories().ledger(folder))}


def _job_cursor(text: str) -> str:
    if not is_job_id(text):
        raise ValueError("a job's id")
    return text
