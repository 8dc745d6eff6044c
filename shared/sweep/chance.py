"""The chance that a running trial still beats a value: the futures of the forecast, with sizes of improvements.

The forecast draws in which later epochs a curve improves until early stopping ends it. Each improvement here is as
large as one of the last ones of the same curve, and smaller the more improvements have come since. `make bench-sweeps`
scores it on recorded trials.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shared.forecast import LEAST_EPOCHS, count_improvements
from shared.spec import EarlyStoppingSpec
from shared.sweep.state import Trial

# Of these last improvements the sizes are drawn.
RECENT = 5
# Each improvement is this part of what it would be had none come before it since now.
SHRINK = 0.85

_Floats = npt.NDArray[np.float64]


def chance_to_beat(trial: Trial, to_beat: float, mode: str) -> float:
    """The chance that a running trial has a better value than `to_beat` by its end; 1 where too little is known.

    The same curve gets the same answer.
    """
    best = trial.best(mode)
    finite = sum(value is not None and math.isfinite(value) for value in trial.curve)
    if best is None or finite < LEAST_EPOCHS:
        return 1.0
    if len(trial.curve) >= trial.max_epochs:
        return 0.0
    gap = abs(to_beat - best)
    counts = count_improvements(trial.curve, _stopping(trial, mode), trial.max_epochs)
    gains = _total_gains(_recent_gains(trial.curve, mode), counts, len(trial.curve))
    return float((gains > gap).mean())


def _stopping(trial: Trial, mode: str) -> EarlyStoppingSpec:
    """The early stopping of a trial; where it has none, one that does not stop it."""
    own = trial.stopping or EarlyStoppingSpec(patience=max(1, trial.max_epochs), min_delta=0.0)
    return own.model_copy(update={"mode": mode, "monitor": "objective"})


def _recent_gains(curve: Sequence[float | None], mode: str) -> _Floats:
    """By how much each of the last improvements was better than the best before it. Shape (up to RECENT,)."""
    sign = 1.0 if mode == "max" else -1.0
    known = np.array([-math.inf if value is None else sign * value for value in curve])
    known[~np.isfinite(known)] = -math.inf
    so_far = np.maximum.accumulate(known)
    gains = np.diff(so_far)
    return gains[(gains > 0) & np.isfinite(gains)][-RECENT:]


def _total_gains(recent: _Floats, counts: npt.NDArray[np.int64], epoch: int) -> _Floats:
    """How much each future gains in all. Shape (futures,)."""
    most = int(counts.max(initial=0))
    if not len(recent) or not most:
        return np.zeros(len(counts))
    random = np.random.Generator(np.random.Philox(key=[1, epoch]))
    sizes = random.choice(recent, size=(len(counts), most)) * SHRINK ** np.arange(1, most + 1)
    total: _Floats = np.where(np.arange(most) < counts[:, None], sizes, 0.0).sum(axis=1)
    return total
