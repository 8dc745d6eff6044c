"""GET /jobs/{id}/forecast: the epoch at which a running job will stop, and the time and cost until then."""

import math
from itertools import pairwise
from statistics import median
from typing import Any

from flask import Response

from api.auth.projects import find_job
from api.auth.quotas import costly_read
from api.http.answer import json_response
from api.http.operation import json_answer, operation
from api.http.query import no_query
from api.shapes import insight as shapes
from api.state.histories import histories
from shared.budget import Held, nearest_limit
from shared.epoch_columns import EpochTold
from shared.forecast import Forecast, forecast
from shared.history import JobHistory
from shared.replay import monitored_values
from shared.spec import ProgramJobSpec

_RECENT = 20


@operation(
    "forecastJob",
    "insight",
    "Forecast the epoch at which a running job stops",
    {200: json_answer("The forecast, or why there is none.", shapes.Forecast)},
    errors=(404,),
)
def show(job_id: str) -> Response:
    """Forecast the stop after the last epoch, or give the reason why there is no forecast."""
    no_query()
    job = find_job(job_id)
    with costly_read():
        return json_response(forecast_of(histories().of(job)))


def forecast_of(history: JobHistory) -> shapes.Forecast:
    """The forecast of a job, computed once after each epoch."""
    last = history.last_epoch()
    return histories().remember(
        (history.record.id, len(history.attempts), last.epoch if last else 0, history.result is not None),
        lambda: shapes.Forecast(object="forecast", job=history.record.id, **_answer(history)),
    )


def _answer(history: JobHistory) -> dict[str, Any]:
    """The other fields of `shapes.Forecast`."""
    epochs = history.epochs()
    allowed = history.max_epochs
    spec = history.rule
    common = {"epoch": epochs[-1].epoch if epochs else 0, "epochs": allowed}
    if history.result is not None:
        return {**common, **_no_forecast("the job has finished")}
    if spec is None:
        return {**common, **_no_forecast(_why_without_rule(history, epochs, allowed))}
    if history.fit is not None and history.fit.number > 1:
        return {
            **common,
            **_no_forecast(f"its script is in call {history.fit.number} of fit, and early stopping began again"),
        }
    try:
        values = monitored_values([one.metrics for one in epochs], spec.monitor)
    except KeyError:
        return {**common, **_no_forecast(f"its epochs have no {spec.monitor}")}
    found = forecast(values, spec, _within_budget(history, epochs, allowed))
    if found is None:
        return {**common, **_no_forecast("too few epochs have finished")}
    return {**common, **_report(history, epochs, found), "reason": None}


def _why_without_rule(history: JobHistory, epochs: list[EpochTold], allowed: int) -> str:
    if history.fit is None and isinstance(history.record.spec, ProgramJobSpec):
        return "its script has not called fit yet"
    ends = _within_budget(history, epochs, allowed)
    because = f"its budget ends it near epoch {ends}" if ends < allowed else f"it ends at epoch {allowed}"
    return f"early stopping is off: {because}"


def _within_budget(history: JobHistory, epochs: list[EpochTold], allowed: int) -> int:
    """The last epoch that the budget allows at the current speed, at most `allowed`."""
    budget = history.record.spec.budget
    if budget is None or len(epochs) < 2:
        return allowed
    held = [Held(one.claim, one.held / 1e6) for one in history.attempts]
    nearest = nearest_limit(budget, held)
    if nearest is None or math.isinf(nearest.seconds_left):
        return allowed
    left = int(max(0.0, nearest.seconds_left) / max(_epoch_seconds(epochs), 1e-6))
    return min(allowed, epochs[-1].epoch + max(1, left))


def _no_forecast(reason: str) -> dict[str, Any]:
    return {"stop": None, "seconds_left": None, "costs_left": [], "chance_of_better": None, "reason": reason}


def _report(history: JobHistory, epochs: list[EpochTold], found: Forecast) -> dict[str, Any]:
    each = _epoch_seconds(epochs)
    claim = history.attempts[-1].claim
    stop = {name: getattr(found, name) for name in shapes.EpochRange.model_fields}
    left = {name: epoch - epochs[-1].epoch for name, epoch in stop.items()}
    costs = []
    if claim.gpu_price_per_hour is not None:
        prices = {name: round(count * each * claim.gpu_price_per_hour / 3600, 6) for name, count in left.items()}
        costs = [shapes.CostRange(currency=claim.currency, **prices)]
    return {
        "stop": shapes.EpochRange(**stop),
        "seconds_left": shapes.SecondsRange(**{name: round(count * each, 3) for name, count in left.items()}),
        "costs_left": costs,
        "chance_of_better": found.chance_of_better,
    }


def _epoch_seconds(epochs: list[EpochTold]) -> float:
    """The median time of the last epochs in seconds, from end to end, which includes saving.

    `ended` is relative to the claim of the attempt. Between attempts, and for inherited epochs, the length of the epoch
    itself is used.
    """
    return median(
        (after.ended - before.ended) / 1e6 if after.attempt == before.attempt > 0 else after.seconds
        for before, after in pairwise(epochs[-_RECENT - 1 :])
    )
