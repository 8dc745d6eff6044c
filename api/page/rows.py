"""GET /page/rows: the jobs for the table of the page, small and cheap enough to be requested every two seconds.

A row is read again only if the job's files have changed, and that of a finished job only if its tags have. The time of
an answer is limited, even with a hundred running jobs: it renews rows for READ_SECONDS, and forecasts, which take
milliseconds each, for FORECAST_SECONDS, the oldest first. So a row may be one or two requests old. Each forecast
contains the epoch after which it was made.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

from cachetools import LRUCache
from flask import Flask, Response, current_app, request

from api.http.answer import as_content
from api.http.operation import IF_NONE_MATCH, NOT_MODIFIED, Schema, integer, json_answer, operation
from api.http.query import Query
from api.insight.forecast import forecast_of
from api.insight.spend import spend_now
from api.jobs.list import (
    FAMILY,
    PARAMETERS,
    WANTED,
    candidates,
    has_tags,
    is_unwanted_queued,
    is_wanted,
    log,
    wanted_of,
)
from api.jobs.order import next_cursor
from api.jobs.report import epoch_progress
from api.page.columns import METADATA, METRICS, MOST_NAME, PARTS, Value, metric_values, spec_values
from api.page.shapes import JobRow, RowCost, RowForecast, RowPage, RowPatience, RowStop
from api.page.spark import spark_of
from api.state.histories import histories
from api.state.index_file import Found, Wanted
from api.state.locked_cache import LockedCache
from api.state.service import service
from shared.annotations import last_change, read_annotations
from shared.document import UnusableDocument
from shared.events import last_epoch_event
from shared.history import JobHistory
from shared.job import TERMINAL, JobRecord
from shared.job_folder import ATTEMPTS, CANCEL_FILE, RESULT_FILE, JobFolder
from shared.ledger import Ledger, ledger
from shared.open_job import OpenJob
from shared.problems import NotFound
from shared.progress import EpochProgress
from shared.stamps import file_stamp

READ_SECONDS = 0.03
FORECAST_SECONDS = 0.015
# The limits above are CPU time, so that a busy machine does not show old rows. This one includes waits for the volume.
_SLOW_VOLUME_SECONDS = 0.25

_KEY = "fitstop-rows"
_MOST_KEPT = 2000

_EVERY = "*"
_FAMILIES = (METRICS, METADATA, *(f"{part}." for part in PARTS))
_COLUMN: Schema = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Value of each row to add, such as hyperparameters.batch_size; * adds all. May be repeated.",
}

_Mark = tuple[object, ...]


@dataclass(frozen=True)
class Kept:
    """A row, and the facts that it was made from. `read_at` and `forecast_at` are times of `time.monotonic`."""

    folder: JobFolder
    record: JobRecord
    mark: _Mark
    row: JobRow
    read_at: float
    values: dict[str, Value]
    spec_values: dict[str, Value]
    annotated: int
    forecast_at: float = 0.0

    @property
    def is_finished(self) -> bool:
        return self.row.status in TERMINAL


def install(app: Flask) -> None:
    """Attach the cache of rows to `app`."""
    app.extensions[_KEY] = LockedCache(LRUCache(_MOST_KEPT))


@operation(
    "listRows",
    "page",
    "List the jobs as the page shows them",
    {200: json_answer("One page.", RowPage, headers=("ETag",)), 304: NOT_MODIFIED},
    query={"limit": integer(1, 100, 50), "column": _COLUMN, **WANTED},
    headers=IF_NONE_MATCH,
    errors=(503,),
)
def show() -> Response:
    """List the jobs as rows; `after` is `next` of the previous page."""
    with Query("limit", "column", *PARAMETERS, family=FAMILY) as query:
        limit = query.integer("limit", 50, 1, 100)
        columns = frozenset(query.parse_all("column", _column))
        wanted = wanted_of(query)
    found = list(islice(_find(wanted), limit + 1))
    following = next_cursor(wanted.order, [place for _, place in found], limit)
    kept = _with_forecasts(_renew([one for one, _ in found[:limit]]))
    rows = _add_places([_with_values(one, columns) for one in kept])
    page = RowPage(
        object="list", data=rows, has_more=following is not None, next=following, now=spend_now(wanted.project)
    )
    content = as_content(page)
    response = Response(content, content_type="application/json")
    response.set_etag(sha256(content).hexdigest()[:32])
    response.make_conditional(request.environ)
    return response


def _rows() -> LockedCache[str, Kept]:
    found = current_app.extensions[_KEY]
    assert isinstance(found, LockedCache)
    return found


def _with_values(kept: Kept, columns: frozenset[str]) -> JobRow:
    """The row with the values of the requested columns."""
    if not columns:
        return kept.row
    values = {**kept.spec_values, **kept.values}
    chosen = values if _EVERY in columns else {name: values[name] for name in columns if name in values}
    return kept.row.model_copy(update={"values": chosen})


def _find(wanted: Wanted) -> Iterator[tuple[Kept, Found]]:
    """The wanted jobs, from the cache if they are in it, each with its place in the order."""
    for found in candidates(wanted, is_list=True):
        job_id = found.id
        folder = service().volume.job_folder(job_id)
        if is_unwanted_queued(folder, wanted.statuses):
            continue
        known = _rows().find(job_id)
        kept = _read(folder) if known is None or (known.is_finished and not folder.spec_file.exists()) else known
        if kept is not None and is_wanted(kept.record, kept.row.status, wanted) and has_tags(folder, wanted):
            yield kept, found


def _renew(found: list[Kept]) -> list[Kept]:
    changed = [one for one in found if _has_changed(one)]
    return _replace(found, changed, lambda one: one.read_at, READ_SECONDS, lambda one: _read(one.folder, one) or one)


def _has_changed(kept: Kept) -> bool:
    """Whether the row must be read again. Only the tags of a finished job may change."""
    if kept.annotated != last_change(kept.folder.path):
        return True
    return not kept.is_finished and kept.mark != _mark(kept.folder.path)


def _with_forecasts(found: list[Kept]) -> list[Kept]:
    stale = [one for one in found if one.row.status == "running" and _is_stale(one.row)]
    return _replace(found, stale, lambda one: one.forecast_at, FORECAST_SECONDS, _add_forecast)


def _replace(
    found: list[Kept], some: list[Kept], age: Callable[[Kept], float], seconds: float, make: Callable[[Kept], Kept]
) -> list[Kept]:
    """Return `found` with `some` made again: at least one, the oldest first, for `seconds` of CPU time."""
    until, latest = time.thread_time() + seconds, time.monotonic() + _SLOW_VOLUME_SECONDS
    made = {}
    for one in sorted(some, key=age):
        made[one.folder.id] = make(one)
        if time.thread_time() >= until or time.monotonic() >= latest:
            break
    return [made.get(one.folder.id, one) for one in found]


def _read(folder: JobFolder, known: Kept | None = None) -> Kept | None:
    """Read a job's row, with its last forecast; None for a deleted or damaged job, which is logged.

    The mark is taken first, so that a later change is noticed by the next request.
    """
    now, annotated = _mark(folder.path), last_change(folder.path)
    try:
        history = histories().of(folder)
        progress = _progress(folder)
        row = _row(folder, history, progress)
    except (UnusableDocument, NotFound) as error:
        log.error("%s is left out of the page: %s", folder.id, error)
        return None
    if known is not None and row.status == "running":
        row.forecast = known.row.forecast
    kept = Kept(
        folder=folder,
        record=history.record,
        mark=now,
        row=row,
        read_at=time.monotonic(),
        values=metric_values(progress),
        spec_values=known.spec_values if known else spec_values(history.record.spec),
        annotated=annotated,
        forecast_at=known.forecast_at if known else 0.0,
    )
    return _rows().keep(folder.id, kept)


def _progress(folder: JobFolder) -> EpochProgress | None:
    event = last_epoch_event(folder.runs())
    return epoch_progress(event) if event else None


def _tags(folder: JobFolder) -> list[str]:
    """The tags of a job; empty if they are damaged, which the page of the job shows."""
    try:
        return list(read_annotations(folder)[1].tags)
    except UnusableDocument:
        return []


def _mark(path: Path) -> _Mark:
    """A value that changes whenever the row may change. Uses strings: Path objects are slow for a hundred rows."""
    job = str(path)
    try:
        numbers = [int(name) for name in os.listdir(f"{job}/{ATTEMPTS}") if name.isdecimal()]  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        numbers = []
    last = f"{job}/{ATTEMPTS}/{max(numbers, default=0)}"
    own = (f"{last}/{name}" for name in ("claim.json", "events.jsonl", "end.json"))
    return (len(numbers), *map(file_stamp, (f"{job}/{RESULT_FILE}", f"{job}/{CANCEL_FILE}", *own)))


def _add_forecast(kept: Kept) -> Kept:
    try:
        found = forecast_of(histories().of(kept.folder))
    except NotFound:
        return kept
    forecast = RowForecast(epoch=found.epoch, stop=found.stop, chance_of_better=found.chance_of_better)
    row = kept.row.model_copy(update={"forecast": forecast})
    return _rows().keep(kept.folder.id, replace(kept, row=row, forecast_at=time.monotonic()))


def _add_places(rows: list[JobRow]) -> list[JobRow]:
    """Add the places in the queue. They are not cached, since they depend on other jobs."""
    waiting = [OpenJob(row.priority, row.id, row.project) for row in rows if row.status == "queued"]
    places = service().places.of(*waiting) if waiting else {}
    return [row.model_copy(update={"queue_position": places.get(row.id)}) for row in rows]


def _is_stale(row: JobRow) -> bool:
    return row.epoch > 0 and (row.forecast is None or row.forecast.epoch != row.epoch)


def _row(folder: JobFolder, history: JobHistory, progress: EpochProgress | None) -> JobRow:
    record, result = history.record, history.result
    stop = result.ending.stop if result else None
    paid = histories().ledger(folder) if result else ledger(history)
    return JobRow(
        id=folder.id,
        object="job_row",
        project=record.project,
        name=record.spec.name,
        dataset=record.spec.source_id,
        priority=record.spec.priority,
        status=history.status,
        created_at=record.created_at,
        started_at=history.attempts[0].claim.claimed_at if history.attempts else None,
        finished_at=result.finished_at if result else None,
        cancel_requested=folder.cancel_file.exists(),
        queue_position=None,
        epoch=progress.epoch if progress else 0,
        epochs=record.spec.max_epochs or (progress.epochs if progress else 0),
        best=progress.best if progress else None,
        patience=_patience(progress),
        stop=RowStop(reason=stop.reason, epochs_not_run=stop.epochs_not_run) if stop else None,
        error=result.ending.error.code if result and result.ending.error else None,
        warnings=len(record.warnings),
        spark=spark_of(history, monitor) if (monitor := _monitor(progress)) else [],
        forecast=None,
        gpu_seconds=paid.total / 1e6,
        costs=_costs(paid),
        tags=_tags(folder),
        values={},
    )


def _column(text: str) -> str:
    if text == _EVERY or (text.startswith(_FAMILIES) and len(text) <= MOST_NAME):
        return text
    raise ValueError(f"{_EVERY} for all, or a name that begins with {', '.join(_FAMILIES)}")


def _monitor(progress: EpochProgress | None) -> str | None:
    """The monitor of ModelCheckpoint; for a job that saves no model, that of early stopping."""
    found = (progress.best or progress.early_stopping) if progress else None
    return found.monitor if found else None


def _patience(progress: EpochProgress | None) -> RowPatience | None:
    found = progress.early_stopping if progress else None
    if found is None:
        return None
    return RowPatience(wait=found.wait, patience=found.patience, stops_at_epoch=found.stops_at_epoch)


def _costs(paid: Ledger) -> list[RowCost]:
    totals = sorted((currency, parts["total"]) for currency, parts in paid.costs().items())
    return [RowCost(currency=currency, total=round(total, 6)) for currency, total in totals]
