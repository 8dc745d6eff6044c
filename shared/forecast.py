"""Forecast of the epoch at which a running job stops: simulated futures, with the stopping rule applied to each.

Improvements come in bouts: they are modelled as a self-exciting process. The probability that the next epoch improves
is a logistic function of the frequency of recent improvements, the epochs since the last one, the longest wait for one
and the epoch. It uses only which epochs improved, not their values, so it works for any monitor, scale and `min_delta`.
The coefficients were fitted on recorded curves; `make bench-forecast` scores them on data sets left out of the fit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.progress import LastImprovement
from shared.replay import apply_rule, patience_after, replay
from shared.spec import EarlyStoppingSpec

LEAST_EPOCHS = 3

Coefficients = tuple[float, ...]

# One for each row of `evidence`; printed by `python -m bench.forecast --fit`.
COEFFICIENTS: Coefficients = (-11.77, 4.59, -0.94, 1.23, -0.64, 2.24, -1.84, 8.9, -3.97)

_FUTURES = 400
# A future that has not stopped after this number of further epochs counts as stopped then.
_HORIZON = 300
# In epochs: an epoch this long ago has half the weight in the frequency of recent improvements.
_HALF_LIVES = (2.0, 6.0, 20.0)
# No recorded curve waited longer. After it, the odds fall as those of a new record among values without a trend.
_KNOWN_WAIT = 20
# No recorded curve has more epochs; later epochs count as the last of these.
_KNOWN_EPOCHS = 150

_Floats = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]
_Counts = npt.NDArray[np.int64]

# Metrics that are better when greater and never above 1.
_AT_MOST_ONE = frozenset({"accuracy", "precision", "recall", "auc", "r2"})
_KEPT: _Floats = np.exp2(-1.0 / np.array(_HALF_LIVES))[:, None]


@dataclass(frozen=True)
class Forecast:
    """The epochs at which 10, 50 and 90 % of the futures have stopped, and the chance that a better epoch comes."""

    p10: int
    p50: int
    p90: int
    chance_of_better: float


def forecast(
    values: Sequence[float | None],
    spec: EarlyStoppingSpec,
    epochs: int,
    coefficients: Coefficients = COEFFICIENTS,
) -> Forecast | None:
    """The forecast after the epochs of `values` of a job with at most `epochs`; None if there are too few.

    Also None if no epoch is left. The stop is at most at `epochs`, and never before the remaining patience is used up.
    The same curve gets the same answer: the generator of the futures is seeded by the number of epochs.
    """
    done = len(values)
    if sum(value is not None and math.isfinite(value) for value in values) < LEAST_EPOCHS or done >= epochs:
        return None
    past = replay(values, spec)
    soonest = max(done + 1, patience_after(done, epochs, spec, past.last_improvement, past.wait).stops_at_epoch)
    if is_perfect(past.last_improvement, spec):
        return Forecast(soonest, soonest, soonest, 0.0)
    stops, counts = _futures(values, spec, epochs, coefficients)
    stops = np.maximum(stops, soonest)
    p10, p50, p90 = (int(one) for one in np.quantile(stops, (0.1, 0.5, 0.9), method="inverted_cdf"))
    return Forecast(p10, p50, p90, round(float((counts > 0).mean()), 3))


def count_improvements(values: Sequence[float | None], spec: EarlyStoppingSpec, epochs: int) -> _Counts:
    """The number of later epochs in which each future improves before it stops. Shape (futures,).

    `values` as for `forecast`; at least LEAST_EPOCHS of them are finite.
    """
    return _futures(values, spec, epochs, COEFFICIENTS)[1]


def is_perfect(last: LastImprovement | None, spec: EarlyStoppingSpec) -> bool:
    """Whether no later value can be better by `min_delta`."""
    is_bounded = spec.mode == "max" and spec.monitor.removeprefix("val_") in _AT_MOST_ONE
    return is_bounded and last is not None and last.value + spec.min_delta >= 1


def improvements(values: Sequence[float | None], spec: EarlyStoppingSpec) -> _Flags:
    """Which epochs were better than all epochs before them. Shape (epochs,)."""
    told = apply_rule(values, spec.model_copy(update={"start_from_epoch": 0}))
    return np.array([wait == 0 for _, wait in told])


def pace_after(improved: _Flags) -> _Floats:
    """The pace of a curve after the epochs of `improved`. Shape (pace, 1).

    A pace consists of the epochs since the last improvement, the longest wait for one, and for each half-life the
    frequency of recent improvements. Every curve begins as one that always improved.
    """
    done, at = len(improved), np.flatnonzero(improved)
    waits = np.diff(at, prepend=-1)
    ago = np.arange(done)[::-1]
    often = _KEPT[:, 0] ** done + ((1 - _KEPT) * _KEPT**ago * improved).sum(axis=1)
    wait = done - 1 - at[-1] if len(at) else done
    pace: _Floats = np.array([float(wait), float(max(1, *waits, 1)), *often])[:, None]
    return pace


def evidence(pace: _Floats, epoch: int) -> _Floats:
    """The terms whose weighted sum is the log odds that `epoch` improves. Shape (coefficients, curves)."""
    wait = np.log1p(np.minimum(pace[0], _KNOWN_WAIT))
    longest = np.log(np.minimum(pace[1], _KNOWN_WAIT))
    age = np.full_like(wait, math.log(min(epoch, _KNOWN_EPOCHS)))
    rows: _Floats = np.stack([np.ones_like(wait), wait, wait**2, age, longest, *pace[2:], wait * pace[-1]])
    return rows


def _went_on(pace: _Floats, improved: _Flags) -> _Floats:
    """The pace one epoch later. `improved` has shape (curves,)."""
    waited = pace[0] + 1
    new = np.empty_like(pace)
    new[0] = np.where(improved, 0.0, waited)
    new[1] = np.where(improved, np.maximum(pace[1], waited), pace[1])
    new[2:] = pace[2:] * _KEPT + (1 - _KEPT) * improved
    return new


def _futures(
    values: Sequence[float | None], spec: EarlyStoppingSpec, epochs: int, coefficients: Coefficients
) -> tuple[_Counts, _Counts]:
    """The epoch at which the rule stops each future, and its improvements by then. Shape (futures,) each."""
    done = len(values)
    random = np.random.Generator(np.random.Philox(key=[0, done]))
    last = min(epochs, done + _HORIZON)
    weights = np.array(coefficients)
    pace, waits = (
        np.repeat(pace_after(improvements(values, spec)), _FUTURES, axis=1),
        np.full(_FUTURES, replay(values, spec).wait),
    )
    stops, is_running, counts = np.full(_FUTURES, last), np.ones(_FUTURES, bool), np.zeros(_FUTURES, np.int64)
    for epoch in range(done + 1, last + 1):
        odds = weights @ evidence(pace, epoch) - np.log1p(np.maximum(pace[0] - _KNOWN_WAIT, 0.0) / (_KNOWN_WAIT + 1))
        improved = random.logistic(size=_FUTURES) < odds
        pace = _went_on(pace, improved)
        if epoch <= spec.start_from_epoch:
            continue
        # The first epoch that counts is always an improvement.
        waits = np.where(improved | (epoch == spec.start_from_epoch + 1), 0, waits + 1)
        counts += is_running & improved
        stops[is_running & (waits >= spec.patience)] = epoch
        is_running &= waits < spec.patience
        if not is_running.any():
            break
    return stops, counts
