"""POST /jobs/{id}/replay and GET /replay/patience: what other settings of early stopping would have done."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice

from flask import Response

from api.auth.projects import PROJECT, find_job, reaches_job, read_project
from api.auth.quotas import costly_read
from api.http.answer import json_response
from api.http.operation import BODY_ERRORS, JSON, integer, json_answer, operation, text
from api.http.query import Query, no_query
from api.http.strict_json import SMALL_BODY_BYTES, read_object
from api.jobs.list import candidate_ids
from api.jobs.settings import ReplaySettings
from api.shapes import insight as shapes
from api.state.histories import histories
from api.state.index_file import Wanted
from api.state.service import service
from shared.document import UnusableDocument
from shared.epoch_columns import EpochTold
from shared.history import JobHistory
from shared.ids import is_job_id
from shared.problems import Conflict, NotFound, Problem, Refused, list_names, nearest, pointer
from shared.progress import LastImprovement
from shared.replay import (
    Curve,
    PatienceRow,
    Replay,
    best_value,
    monitored_values,
    patience_table,
    replay,
    smallest_patience,
)
from shared.spec import EarlyStoppingSpec, JobSpec, Mode
from shared.task import better_mode
from shared.validation import validate

_MOST_JOBS = 200
_DEFAULT_JOBS = 60
_NO_IDS: tuple[str, ...] = ()

log = logging.getLogger(__name__)


@operation(
    "replayJob",
    "insight",
    "Replay early stopping with other settings",
    {200: json_answer("Result of the replay; nothing is stored.", shapes.Replay)},
    body={JSON: ReplaySettings},
    example={"patience": 5},
    errors=(*BODY_ERRORS, 404, 409),
)
def replay_job(job_id: str) -> Response:
    """Replay the stopping rule with other settings: exact up to the last epoch, unknown after it."""
    no_query()
    job = find_job(job_id)
    asked = validate(ReplaySettings, read_object(SMALL_BODY_BYTES, service().settings.max_json_depth))
    history = histories().of(job)
    epochs = history.epochs()
    if not epochs:
        raise Conflict("no epoch of this job has ended yet, so there is nothing to replay")
    if history.fit is not None and history.fit.number > 1:
        raise Conflict(
            f"its script called fit {history.fit.number} times, and early stopping begins again in each call"
        )
    spec = _spec(history, asked, epochs)
    with costly_read():
        values = monitored_values([one.metrics for one in epochs], spec.monitor)
        return json_response(_answer(history, epochs, spec, values))


@operation(
    "comparePatience",
    "insight",
    "Compare values of patience on past jobs",
    {200: json_answer("Table for each monitor.", shapes.PatienceTables)},
    query={
        "jobs": text(
            f"Ids of up to {_MOST_JOBS} jobs, separated by commas. Default: the newest {_DEFAULT_JOBS} that succeeded."
        ),
        "most": integer(1, 1000, 30, "Largest patience in the table."),
        "tolerance": {
            "type": "number",
            "minimum": 0,
            "default": 0,
            "description": "Maximum accepted deterioration of the metric.",
        },
        "project": PROJECT,
    },
    errors=(404,),
)
def patience() -> Response:
    """Table of patience against saved compute time and loss, for each monitor."""
    with Query("jobs", "most", "tolerance", "project") as query:
        project = read_project(query)
        ids = query.parse("jobs", _ids, _NO_IDS)
        most = query.integer("most", 30, 1, 1000)
        tolerance = query.parse("tolerance", _tolerance, 0.0)
    by_monitor: dict[str, list[Curve]] = {}
    left_out = []
    with costly_read():
        for job_id, curve in _curves(ids, project):
            if isinstance(curve, str):
                left_out.append(shapes.LeftOut(job=job_id, reason=curve))
            else:
                by_monitor.setdefault(curve.spec.monitor, []).append(curve)
        tables = [_table_report(monitor, curves, most, tolerance) for monitor, curves in sorted(by_monitor.items())]
    return json_response(
        shapes.PatienceTables(object="patience_tables", tolerance=tolerance, data=tables, left_out=left_out)
    )


def own_rule(history: JobHistory) -> EarlyStoppingSpec:
    """The job's early stopping; if it is off, the default one with the monitor of ModelCheckpoint."""
    if history.rule is not None:
        return history.rule
    spec = history.record.spec
    checkpoint = spec.callbacks.model_checkpoint if isinstance(spec, JobSpec) else None
    monitor = checkpoint.monitor if checkpoint else "val_loss"
    return EarlyStoppingSpec(monitor=monitor, mode=better_mode(monitor))


def _spec(history: JobHistory, asked: ReplaySettings, epochs: Sequence[EpochTold]) -> EarlyStoppingSpec:
    own = own_rule(history)
    given = {name: value for name, value in asked if value is not None}
    monitor = given.get("monitor", own.monitor)
    known = sorted(epochs[-1].metrics)
    if any(monitor not in one.metrics for one in epochs):
        detail = f'received "{monitor}", expected one of {list_names(known)}.{nearest(monitor, known)}'
        raise Refused([Problem(pointer("monitor"), detail, "unknown_monitor")])
    mode = _mode(monitor, own, given.get("mode"))
    if given.get("mode", mode) != mode:
        better = "greater" if mode == "max" else "smaller"
        detail = f'received "{given["mode"]}"; {monitor} is better the {better} it is: "{mode}"'
        raise Refused([Problem(pointer("mode"), detail, "wrong_mode")])
    return own.model_copy(update={**given, "mode": mode})


def _mode(monitor: str, own: EarlyStoppingSpec, asked: Mode | None) -> Mode:
    """The mode of a metric. That of a script's own metric comes from its rule or from the request."""
    if monitor == own.monitor and own.mode != "auto":
        return own.mode
    try:
        return better_mode(monitor)
    except ValueError:
        if asked in {"min", "max"}:
            return asked
        detail = f'missing: {monitor} is a metric of the script\'s own; expected "min" or "max"'
        raise Refused([Problem(pointer("mode"), detail, "missing")]) from None


def _answer(
    history: JobHistory, epochs: Sequence[EpochTold], spec: EarlyStoppingSpec, values: Sequence[float | None]
) -> shapes.Replay:
    past = replay(values, spec)
    stop = past.stop(spec.patience)
    last = epochs[-1].epoch
    allowed = history.max_epochs
    is_known = stop is not None or last >= allowed
    at = stop.epoch if stop else last
    improvement = stop.last_improvement if stop else past.last_improvement
    return shapes.Replay(
        object="replay",
        job=history.record.id,
        early_stopping=spec,
        known=is_known,
        stop=shapes.ReplayedStop(reason="early_stopping" if stop else "epochs_completed", epoch=at)
        if is_known
        else None,
        last_improvement=improvement,
        last_epoch=last,
        model=_model(values, at, spec.mode),
        saved=_savings(history, epochs, at) if is_known else None,
        text=_describe_stop(spec, last, at, improvement) if is_known else _describe_no_stop(spec, past, last),
    )


def _model(values: Sequence[float | None], at: int, mode: str) -> shapes.ReplayedModel:
    """The best value up to epoch `at`, ignoring min delta, and how much worse it is than that of the whole run."""
    then, whole = best_value(values[:at], mode), best_value(values, mode)
    lost = abs(whole - then) if whole is not None and then is not None else None
    return shapes.ReplayedModel(best_value=then, lost=lost)


def _savings(history: JobHistory, epochs: Sequence[EpochTold], at: int) -> shapes.ReplaySaved:
    """Time and cost of the epochs after the stop; the time between epochs does not count."""
    claim = history.attempts[-1].claim
    seconds = claim.devices * sum(one.seconds for one in epochs if one.epoch > at)
    costs = []
    if claim.price_per_device is not None:
        amount = round(seconds * claim.price_per_device / 3600, 6)
        costs = [shapes.Amount(currency=claim.currency, amount=amount)]
    return shapes.ReplaySaved(epochs=epochs[-1].epoch - at, gpu_seconds=round(seconds, 6), costs=costs)


def _describe_no_stop(spec: EarlyStoppingSpec, past: Replay, last: int) -> str:
    return (
        f"It would not have stopped by epoch {last}, the last one trained: {past.wait} of {spec.patience} epochs "
        "of patience were used up. Later epochs are unknown."
    )


def _describe_stop(spec: EarlyStoppingSpec, last: int, at: int, improvement: LastImprovement | None) -> str:
    why = f"{spec.monitor} never had a finite value"
    if improvement is not None:
        why = f"{spec.monitor} last improved at epoch {improvement.epoch}, to {improvement.value:.4g}"
    return f"It would have stopped at epoch {at}: {why}. {last - at} epochs would not have been run."


def _curves(ids: tuple[str, ...], project: str | None) -> Iterator[tuple[str, Curve | str]]:
    """The curves of the requested jobs, or of the newest that succeeded. For a job without a curve, the reason."""
    if not ids:
        yield from islice(_newest(project), _DEFAULT_JOBS)
        return
    for job_id in ids:
        yield job_id, _curve(histories().of(find_job(job_id)))


def _newest(project: str | None) -> Iterator[tuple[str, Curve]]:
    for job_id in candidate_ids(Wanted(project=project, statuses=frozenset({"succeeded"}))):
        folder = service().volume.job_folder(job_id)
        try:
            result = folder.result()
            if result is None or result.ending.status != "succeeded":
                continue
            if project not in {None, service().projects.of(job_id)}:
                continue
            curve = _curve(histories().of(folder))
        except (NotFound, UnusableDocument) as error:
            log.error("%s is left out of the table: %s", job_id, error)
            continue
        if isinstance(curve, Curve):
            yield job_id, curve


def _curve(history: JobHistory) -> Curve | str:
    epochs = history.epochs()
    if history.result is None:
        return "it has not finished"
    if not epochs:
        return "none of its epochs has finished"
    if history.fit is not None and history.fit.number > 1:
        return "its script called fit several times"
    spec = own_rule(history)
    try:
        values = monitored_values([one.metrics for one in epochs], spec.monitor)
    except KeyError:
        return f"it has no {spec.monitor}"
    claim = history.attempts[-1].claim
    return Curve(
        values=values,
        seconds=[one.seconds * claim.devices for one in epochs],
        spec=spec,
        is_complete=epochs[-1].epoch >= history.max_epochs,
        price_per_hour=claim.price_per_device,
        currency=claim.currency,
    )


def _table_report(monitor: str, curves: Sequence[Curve], most: int, tolerance: float) -> shapes.PatienceTable:
    table = patience_table(curves, most)
    return shapes.PatienceTable(
        monitor=monitor,
        jobs=len(curves),
        smallest_patience=smallest_patience(table, tolerance),
        rows=[_row_report(row) for row in table],
    )


def _row_report(row: PatienceRow) -> shapes.PatienceRow:
    saved = sorted(row.saved.items())
    costs = [shapes.Amount(currency=currency, amount=round(amount, 6)) for currency, amount in saved]
    shown = asdict(row)
    del shown["saved"]
    for name in ("most_lost", "mean_lost"):
        shown[name] = shown[name] if math.isfinite(shown[name]) else None
    shown["gpu_seconds_saved"] = round(row.gpu_seconds_saved, 6)
    return shapes.PatienceRow(**shown, costs_saved=costs)


def _ids(text: str) -> tuple[str, ...]:
    ids = tuple(dict.fromkeys(text.split(",")))
    if not all(map(is_job_id, ids)) or len(ids) > _MOST_JOBS:
        raise ValueError(f"up to {_MOST_JOBS} ids of jobs, separated by commas")
    for job_id in ids:
        if service().volume.job(job_id) is None or not reaches_job(job_id):
            raise NotFound(f"there is no job {job_id}")
    return ids


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError("a number of 0 or more")
    return value
