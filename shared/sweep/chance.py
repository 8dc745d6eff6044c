"""The chance that a running trial still beats a value: the futures of the forecast, with sizes of improvements.

The forecast samples in which later epochs a curve improves until early stopping ends it. Here each improvement is about
as large as one of the curve's last ones, and shrinks with the number of improvements before it. The best of many noisy
values is better than their mean, so noise is added. `make bench-sweeps` scores the chance on recorded trials, on which
the constants were chosen.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from shared.forecast import LEAST_EPOCHS, count_improvements
from shared.spec import EarlyStoppingSpec
from shared.sweep.trial import Trial

# Number of last improvements from which the sizes are sampled.
RECENT = 5
# Factor by which each further improvement shrinks.
SHRINK = 0.9
# Standard deviation of the logarithm of a future's gain, whose size is uncertain.
SPREAD = 0.5
# Size of the noise, in standard deviations of the last values around their trend.
NOISE = 2.0
# Number of last epochs from which the noise is estimated.
_NOISY_EPOCHS = 8

_Floats = npt.NDArray[np.float64]


def chance_to_beat(trial: Trial, to_beat: float, mode: str) -> float:
    """The chance that a running trial has a better value than `to_beat` by its end; 1 if too little is known.

    The same curve gives the same result.
    """
    best = trial.best(mode)
    finite = sum(value is not None and math.isfinite(value) for value in trial.curve)
    if best is None or finite < LEAST_EPOCHS:
        return 1.0
    if len(trial.curve) >= trial.max_epochs:
        return 0.0
    gap = abs(to_beat - best)
    counts = _count(trial.curve, _stopping(trial, mode), trial.max_epochs)
    random = np.random.Generator(np.random.Philox(key=[1, len(trial.curve)]))
    gains = _total_gains(_recent_gains(trial.curve, mode), counts, random)
    gains *= np.exp(SPREAD * random.standard_normal(len(gains)))
    gains += NOISE * _noise(trial.curve) * np.abs(random.standard_normal(len(gains)))
    return float((gains > gap).mean())


@lru_cache(maxsize=4096)
def _count(curve: tuple[float | None, ...], stopping: EarlyStoppingSpec, epochs: int) -> npt.NDArray[np.int64]:
    """Cached, since each new best of a sweep asks again about the same curves."""
    return count_improvements(curve, stopping, epochs)


def _stopping(trial: Trial, mode: str) -> EarlyStoppingSpec:
    """The early stopping of a trial; if it has none, one that does not stop it."""
    own = trial.stopping or EarlyStoppingSpec(patience=max(1, trial.max_epochs), min_delta=0.0)
    return own.model_copy(update={"mode": mode, "monitor": "objective"})


def _recent_gains(curve: Sequence[float | None], mode: str) -> _Floats:
    """The gain of each of the last improvements over the best value before it. Shape (up to RECENT,)."""
    sign = 1.0 if mode == "max" else -1.0
    known = np.array([-math.inf if value is None else sign * value for value in curve])
    known[~np.isfinite(known)] = -math.inf
    so_far = np.maximum.accumulate(known)
    gains = np.diff(so_far)
    return gains[(gains > 0) & np.isfinite(gains)][-RECENT:]


def _noise(curve: Sequence[float | None]) -> float:
    """The standard deviation of the last values around their trend; 0 if there are too few."""
    known = np.array([value for value in curve[-_NOISY_EPOCHS:] if value is not None and math.isfinite(value)])
    if len(known) < LEAST_EPOCHS + 1:
        return 0.0
    # From the median step between two values, since one large step is not noise.
    return float(np.median(np.abs(np.diff(known))) / (math.sqrt(2) * 0.6745))


def _total_gains(recent: _Floats, counts: npt.NDArray[np.int64], random: np.random.Generator) -> _Floats:
    """The total gain of each future. Shape (futures,)."""
    most = int(counts.max(initial=0))
    if not len(recent) or not most:
        return np.zeros(len(counts))
    sizes = random.choice(recent, size=(len(counts), most)) * SHRINK ** np.arange(1, most + 1)
    total: _Floats = np.where(np.arange(most) < counts[:, None], sizes, 0.0).sum(axis=1)
    return total
