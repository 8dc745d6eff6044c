"""Where a running job will stop: its curve is carried on many times, and the stopping rule run over each future.

The last epochs say most of the next: a trend that levels off is fitted to the curve with weights that halve every
`_HALF_LIFE` epochs, once for each of several speeds; a future draws a speed, a trend within its uncertainty, and
residuals of the past. Carried-on curves promise too much, so the chance that the best is still to come is corrected by
three numbers that were fitted on recorded curves; `make bench-forecast` scores it on data sets left out of the fit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.replay import Replay, replay
from shared.spec import EarlyStoppingSpec

LEAST_EPOCHS = 3

Calibration = tuple[float, float, float]

_FUTURES = 400
_HORIZON = 1000
_BLOCK = 64
_HALF_LIFE = 3.0
# What lies further back weighs nothing.
_LOOKED_AT = 200
# In epochs, how fast the trend levels off; a flat one is tried too.
_SPEEDS = (2.0, 5.0, 12.0, 30.0, 80.0, 200.0)
# The chance of a better epoch as a logistic function of 1, the log odds of the simulated chance, and the logarithm of
# the part of the run that was waited since the best; fitted by `python -m tests.bench_forecast --fit`.
CALIBRATION: Calibration = (-2.91, 0.67, -1.05)
_UNCORRECTED: Calibration = (0.0, 1.0, 0.0)

_Floats = npt.NDArray[np.float64]


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
    calibration: Calibration = CALIBRATION,
) -> Forecast | None:
    """The forecast after the epochs of `values`, of which the job may run `epochs`; None where they are too few.

    Never later than `epochs`, and never sooner than the patience that is left allows. The same curve gets the same
    answer: the futures are drawn from a generator that is seeded by the number of epochs.
    """
    past, done = replay(values, spec), len(values)
    curve = (1.0 if spec.mode == "max" else -1.0) * np.array([math.nan if one is None else one for one in values])
    known = np.flatnonzero(np.isfinite(curve))[-_LOOKED_AT:]
    if len(known) < LEAST_EPOCHS or done >= epochs:
        return None
    futures = _Futures(curve[known], (known + 1).astype(np.float64), done)
    stops = _stops(futures, past, spec, done, epochs)
    soonest = min(epochs, max(done + spec.patience - past.wait, spec.start_from_epoch + 1, done + 1))
    return _read_off(stops, soonest, _corrected(float((stops > soonest).mean()), past.wait, done, calibration))


def evidence_of_better(values: Sequence[float | None], spec: EarlyStoppingSpec, epochs: int) -> list[float] | None:
    """What the chance of a better epoch is a function of, as three numbers; None where there is no forecast."""
    plain = forecast(values, spec, epochs, _UNCORRECTED)
    return None if plain is None else _evidence(plain.chance_of_better, replay(values, spec).wait, len(values))


def _evidence(simulated: float, wait: int, done: int) -> list[float]:
    return [1.0, math.log((simulated + 0.02) / (1.02 - simulated)), math.log((wait + 1) / done)]


class _Futures:
    """Ways in which a curve may go on, a block of epochs at a time. Greater is better here."""

    def __init__(self, curve: _Floats, at: _Floats, done: int) -> None:
        self._done = float(done)
        self._random = np.random.Generator(np.random.Philox(key=[len(curve), done]))
        weights: _Floats = np.exp2((at - done) / _HALF_LIFE)
        fits = [self._fit(curve, at, weights, speed) for speed in (*_SPEEDS, None)]
        self._share = weights / weights.sum()
        chosen = self._random.choice(len(fits), _FUTURES, p=_likelihoods(fits, float(weights.sum())))
        self._speeds = np.array([fit.speed or 1.0 for fit in fits])[chosen]
        self._trends = np.stack([fits[one].draw(self._random) for one in chosen])
        self._residuals = np.stack([fit.residuals for fit in fits])[chosen]

    def _fit(self, curve: _Floats, at: _Floats, weights: _Floats, speed: float | None) -> "_Fit":
        """Weighted least squares of a level at the last epoch and, where there is a speed, a slope that fades."""
        columns = [np.ones(len(at))]
        if speed is not None:
            columns.append(_faded(at - self._done, speed))
        basis: _Floats = np.stack(columns, axis=1).astype(np.float64)
        return _Fit.of(basis, curve, weights, speed)

    def block(self, first: int, count: int) -> _Floats:
        """The values `first` to `first + count` epochs behind the last one, of shape (futures, count)."""
        ahead = np.arange(first, first + count, dtype=np.float64)
        fading = _faded(ahead[None, :], self._speeds[:, None])
        drawn = self._random.choice(self._residuals.shape[1], (_FUTURES, count), p=self._share)
        noise = np.take_along_axis(self._residuals, drawn, axis=1)
        return self._trends[:, :1] + self._trends[:, 1:] * fading + noise


@dataclass(frozen=True)
class _Fit:
    """A trend: coefficients of shape (1,) or (2,), the spread of their errors, and its residuals."""

    speed: float | None
    coefficients: _Floats
    spread: _Floats
    residuals: _Floats
    error: float

    @classmethod
    def of(cls, basis: _Floats, curve: _Floats, weights: _Floats, speed: float | None) -> "_Fit":
        weighted = basis * weights[:, None]
        normal: _Floats = weighted.T @ basis + 1e-9 * np.eye(basis.shape[1])
        coefficients: _Floats = np.linalg.solve(normal, weighted.T @ curve).astype(np.float64)
        residuals: _Floats = curve - basis @ coefficients
        error = float((weights * residuals**2).sum())
        freedom = max(float(weights.sum()) - basis.shape[1], 1.0)
        spread: _Floats = np.linalg.cholesky(
            np.linalg.inv(normal) * error / freedom + 1e-18 * np.eye(basis.shape[1])
        ).astype(np.float64)
        wider = math.sqrt(max(float(weights.sum()), freedom) / freedom)
        return cls(speed, coefficients, spread, residuals * wider, error)

    def draw(self, random: np.random.Generator) -> _Floats:
        """A trend within the fit's uncertainty, of shape (2,); without a slope its second value is 0."""
        count = len(self.coefficients)
        trend: _Floats = np.zeros(2)
        trend[:count] = self.coefficients + self.spread @ random.standard_normal(count)
        return trend


def _faded(ahead: _Floats, speed: Any) -> _Floats:
    """How far a slope of 1 leads, so many epochs from the last one, while it fades at this speed."""
    led: _Floats = np.maximum(speed * -np.expm1(-ahead / speed), -1e6)
    return led


def _likelihoods(fits: Sequence[_Fit], points: float) -> _Floats:
    """How likely each fit is, a slope counted against it as one parameter more (BIC). Shape (fits,), sum 1."""
    errors = np.array([fit.error for fit in fits]) + 1e-12
    slopes = np.array([len(fit.coefficients) - 1 for fit in fits])
    score = -0.5 * points * np.log(errors / errors.min()) - 0.5 * slopes * math.log(max(points, 2.0))
    likelihood = np.exp(score - score.max())
    share: _Floats = likelihood / likelihood.sum()
    return share


def _stops(futures: _Futures, past: Replay, spec: EarlyStoppingSpec, done: int, epochs: int) -> npt.NDArray[np.int64]:
    """The epoch at which the rule stops each future, `epochs` where it does not. Shape (futures,)."""
    sign = 1.0 if spec.mode == "max" else -1.0
    best = np.full(_FUTURES, -math.inf if past.best.value is None else sign * past.best.value)
    wait = np.full(_FUTURES, past.wait)
    last = min(epochs, done + _HORIZON)
    stops = np.full(_FUTURES, last)
    running = np.ones(_FUTURES, dtype=bool)
    for first in range(1, last - done + 1, _BLOCK):
        block = futures.block(first, min(_BLOCK, last - done - first + 1))
        for index, values in enumerate(block.T):
            epoch = done + first + index
            if epoch <= spec.start_from_epoch:
                continue
            better = values - spec.min_delta > best
            best = np.where(better, values, best)
            wait = np.where(better, 0, wait + 1)
            stopping = running & (wait >= spec.patience)
            stops[stopping] = epoch
            running &= ~stopping
        if not running.any():
            break
    return stops


def _corrected(simulated: float, wait: int, done: int, calibration: Calibration) -> float:
    """The chance of a better epoch. What no future or every future says is left as it is."""
    if calibration == _UNCORRECTED or simulated in {0.0, 1.0}:
        return simulated
    odds = sum(weight * one for weight, one in zip(calibration, _evidence(simulated, wait, done), strict=True))
    return 1 / (1 + math.exp(-odds))


def _read_off(stops: npt.NDArray[np.int64], soonest: int, chance: float) -> Forecast:
    """The quantiles of the futures, those with a better epoch and those without weighted by the corrected chance."""
    better = stops > soonest
    simulated = float(better.mean())
    weights = np.where(better, chance / max(simulated, 1e-9), (1 - chance) / max(1 - simulated, 1e-9))
    order = np.argsort(stops, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    p10, p50, p90 = (int(stops[order][np.searchsorted(reached, share)]) for share in (0.1, 0.5, 0.9))
    return Forecast(p10, p50, p90, round(chance, 3))
