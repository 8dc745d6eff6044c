"""Where a recorded curve would have stopped with other settings of early stopping.

The rule is that of Keras's EarlyStopping with one change: a NaN is never an improvement. Up to the last trained epoch
the answer is exact, since a stop changes nothing in the epochs before it. After that epoch nothing is known.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shared.progress import LastImprovement, Patience
from shared.spec import EarlyStoppingSpec


@dataclass(frozen=True)
class Stopped:
    """Where the rule stops: after `epoch` (from 1), with the last improvement by then."""

    epoch: int
    last_improvement: LastImprovement | None


@dataclass(frozen=True)
class Replay:
    """The replay of a curve with one monitor, mode, min_delta and start_from_epoch, for every patience at once.

    `stops[p]` is the stop with patience p + 1; a greater patience does not stop within the curve. `last_improvement`
    and `wait` are those after the last epoch. The wait does not depend on the patience, so one pass is enough for all.
    """

    stops: tuple[Stopped, ...]
    last_improvement: LastImprovement | None
    wait: int

    def stop(self, patience: int) -> Stopped | None:
        """The stop with this patience; None if the curve ends before it."""
        return self.stops[patience - 1] if patience <= len(self.stops) else None


def replay(values: Sequence[float | None], spec: EarlyStoppingSpec) -> Replay:
    """Apply the rule to one value for each epoch; None is a value that was not finite."""
    last, wait, stops = None, 0, list[Stopped]()
    for index, (last, wait) in enumerate(apply_rule(values, spec)):
        if index > 0:
            stops += [Stopped(index + 1, last)] * (wait - len(stops))
    return Replay(tuple(stops), last, wait)


def apply_rule(values: Sequence[float | None], spec: EarlyStoppingSpec) -> Iterator[tuple[LastImprovement | None, int]]:
    """The last improvement and the wait after each epoch.

    As in Keras, differences are computed in 64 bits and compared in 32.
    """
    known = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    sign = 1.0 if spec.mode == "max" else -1.0
    with np.errstate(over="ignore", invalid="ignore"):
        challengers = (sign * (known - sign * spec.min_delta).astype(np.float32)).tolist()
        defenders = (sign * known.astype(np.float32)).tolist()
    to_beat = -math.inf
    last: LastImprovement | None = None
    wait = 0
    for index in range(len(known)):
        if index >= spec.start_from_epoch:
            wait += 1
            first = last is None and not math.isnan(challengers[index])
            if first or challengers[index] > to_beat:
                last = LastImprovement(epoch=index + 1, value=float(known[index]), min_delta=spec.min_delta)
                wait, to_beat = 0, defenders[index]
        yield last, wait


def patience_after(
    epoch: int, epochs: int, spec: EarlyStoppingSpec, last: LastImprovement | None, wait: int
) -> Patience:
    """The state of early stopping after `epoch` (from 1) of `epochs`."""
    started = epoch > spec.start_from_epoch
    stops_at = epoch + max(spec.patience - wait, 0) if started else spec.start_from_epoch + 1 + spec.patience
    return Patience(
        monitor=spec.monitor,
        wait=wait,
        patience=spec.patience,
        stops_at_epoch=min(epochs, max(2, stops_at)),
        last_improvement=last,
    )


def monitored_values(rows: Sequence[dict[str, float | None]], monitor: str) -> list[float | None]:
    """One metric of every epoch, None if it was not finite. Raises KeyError if the run did not have it."""
    if any(monitor not in row for row in rows):
        raise KeyError(monitor)
    return [row[monitor] for row in rows]


def best_value(values: Sequence[float | None], mode: str) -> float | None:
    """The best value as for saved models: every improvement counts, without a min delta. None if none is finite."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return None
    return max(finite) if mode == "max" else min(finite)


@dataclass(frozen=True)
class Curve:
    """A past job in the table of patiences: a value and device-seconds for each epoch, and the price of a device-hour.

    `spec` is its early stopping, of which only monitor, mode, min_delta and start_from_epoch count here. `is_complete`:
    it ran all its max epochs, so that no epoch could have followed.
    """

    values: Sequence[float | None]
    seconds: Sequence[float]
    spec: EarlyStoppingSpec
    is_complete: bool
    price_per_hour: float | None = None
    currency: str | None = None


@dataclass(frozen=True)
class PatienceRow:
    """One patience over many jobs.

    `jobs` is the number of jobs with a known answer, `unknown` of those that would have continued after their last
    epoch. `gpu_seconds_saved` and `saved` (cost by currency) are sums over the known jobs. `most_lost` and `mean_lost`
    are how much worse their best values would have been.
    """

    patience: int
    jobs: int
    unknown: int
    stopped_sooner: int
    gpu_seconds_saved: float
    saved: dict[str, float]
    jobs_worse: int
    most_lost: float
    mean_lost: float


@dataclass(frozen=True)
class _Outcome:
    seconds_saved: float
    lost: float


def patience_table(curves: Sequence[Curve], most: int) -> list[PatienceRow]:
    """The table of patience 1 to `most` over past jobs."""
    replays = [replay(curve.values, curve.spec) for curve in curves]
    return [_row(patience, curves, replays) for patience in range(1, most + 1)]


def smallest_patience(table: Sequence[PatienceRow], tolerance: float) -> int | None:
    """The smallest patience with which no job's best value would be worse by more than `tolerance`, or None.

    Only a patience for which the answer of every job is known counts.
    """
    enough = (row for row in table if row.jobs and not row.unknown and row.most_lost <= tolerance)
    return next((row.patience for row in enough), None)


def _row(patience: int, curves: Sequence[Curve], replays: Sequence[Replay]) -> PatienceRow:
    outcomes = [(curve, _outcome(curve, past, patience)) for curve, past in zip(curves, replays, strict=True)]
    known = [(curve, outcome) for curve, outcome in outcomes if outcome is not None]
    saved: dict[str, float] = {}
    for curve, outcome in known:
        if curve.price_per_hour is not None and curve.currency is not None:
            cost = outcome.seconds_saved * curve.price_per_hour / 3600
            saved[curve.currency] = saved.get(curve.currency, 0.0) + cost
    losses = [outcome.lost for _, outcome in known]
    return PatienceRow(
        patience=patience,
        jobs=len(known),
        unknown=len(outcomes) - len(known),
        stopped_sooner=sum(outcome.seconds_saved > 0 for _, outcome in known),
        gpu_seconds_saved=sum(outcome.seconds_saved for _, outcome in known),
        saved=saved,
        jobs_worse=sum(loss > 0 for loss in losses),
        most_lost=max(losses, default=0.0),
        mean_lost=sum(losses) / len(losses) if losses else 0.0,
    )


def _outcome(curve: Curve, past: Replay, patience: int) -> _Outcome | None:
    stop = past.stop(patience)
    if stop is None:
        return _Outcome(0.0, 0.0) if curve.is_complete else None
    mode = curve.spec.mode
    whole, part = best_value(curve.values, mode), best_value(curve.values[: stop.epoch], mode)
    lost = 0.0 if whole is None else math.inf if part is None else abs(whole - part)
    return _Outcome(sum(curve.seconds[stop.epoch :]), lost)
