"""Decides which running trials cannot win, by the rule of their sweep."""

import math
from collections.abc import Sequence
from statistics import median

from shared.job import Outclassed
from shared.sweep.chance import chance_to_beat
from shared.sweep.spec import StoppingRule, SweepSpec
from shared.sweep.trial import Trial, best_of

# One in this number of trials is among the best, which the forecast does not stop.
_KEPT = 3
# A trial that is worse than the median of the others wins less often than its curve says, by this factor.
_ODDS_BELOW_MEDIAN = 7


def judge(spec: SweepSpec, trial: Trial, trials: Sequence[Trial]) -> Outclassed | None:
    """Why a running trial cannot win, after the epochs that it has run; None if it may. `trials`: of its sweep."""
    rule, epoch = spec.rule, len(trial.curve)
    if rule.name == "none" or epoch < rule.min_epochs:
        return None
    others = [other for other in trials if other.number != trial.number and other.curve and not other.has_failed]
    if sum(other.is_finished for other in others) < rule.min_trials:
        return None
    return _RULES[rule.name](spec, trial, others)


def _forecast(spec: SweepSpec, trial: Trial, others: Sequence[Trial]) -> Outclassed | None:
    """Outclassed if unlikely to beat the best and not in the best third: a curve alone says too little about those."""
    mode, rule = spec.objective.mode, spec.rule
    best = best_of(others, mode)
    to_beat = best.best(mode) if best else None
    own = trial.best(mode)
    if best is None or to_beat is None or own is None or _is_among_best(trial, others, mode):
        return None
    is_behind = _median(spec, trial, others) is not None
    limit = min(1.0, rule.min_chance * (_ODDS_BELOW_MEDIAN if is_behind else 1))
    chance = chance_to_beat(trial, to_beat, mode)
    if chance >= limit:
        return None
    found = _found(spec, trial, len(trial.curve), to_beat, len(others))
    update = {"best_trial": best.number, "chance": round(chance, 4), "min_chance": round(limit, 4)}
    return found.model_copy(update=update)


def _is_among_best(trial: Trial, others: Sequence[Trial], mode: str) -> bool:
    """Whether a trial is in the best third of all after the same number of epochs."""
    values, own = _values(others, len(trial.curve), mode), trial.best(mode)
    kept = max(1, (len(values) + 1) // _KEPT)
    return own is not None and (len(values) < kept or not _is_better(values[kept - 1], own, mode))


def _asha(spec: SweepSpec, trial: Trial, others: Sequence[Trial]) -> Outclassed | None:
    """Outclassed if not in the best 1 / `reduction_factor` of the trials that reached its rung or ended before it."""
    rung = _rung(spec.rule, len(trial.curve))
    values = _values(others, rung, spec.objective.mode)
    own = trial.best_by(rung, spec.objective.mode)
    if own is None or len(values) < spec.rule.reduction_factor:
        return None
    to_beat = values[(len(values) + 1) // spec.rule.reduction_factor - 1]
    return (
        None if not _is_better(to_beat, own, spec.objective.mode) else _found(spec, trial, rung, to_beat, len(values))
    )


def _median(spec: SweepSpec, trial: Trial, others: Sequence[Trial]) -> Outclassed | None:
    """Outclassed if worse than the median of the others' best values after the same number of epochs."""
    epoch, mode = len(trial.curve), spec.objective.mode
    values, own = _values(others, epoch, mode), trial.best(mode)
    if own is None or not values:
        return None
    middle = median(values)
    return None if not _is_better(middle, own, mode) else _found(spec, trial, epoch, middle, len(values))


_RULES = {"forecast": _forecast, "asha": _asha, "median": _median}


def _values(trials: Sequence[Trial], epoch: int, mode: str) -> list[float]:
    """The best values by an epoch of the trials that reached it or ended before it, the best first."""
    reached = [trial for trial in trials if trial.is_finished or len(trial.curve) >= epoch]
    found = [value for trial in reached if (value := trial.best_by(epoch, mode)) is not None]
    return sorted(found, reverse=mode == "max")


def _rung(rule: StoppingRule, epoch: int) -> int:
    """The last rung that was reached after `epoch` epochs, in epochs."""
    rungs = math.floor(math.log(epoch / rule.min_epochs, rule.reduction_factor) + 1e-9)
    return rule.min_epochs * int(rule.reduction_factor**rungs)


def _is_better(one: float, other: float, mode: str) -> bool:
    return one > other if mode == "max" else one < other


def _found(spec: SweepSpec, trial: Trial, epoch: int, to_beat: float, trials: int) -> Outclassed:
    monitor, value = spec.objective.monitor, trial.best_by(epoch, spec.objective.mode)
    assert value is not None
    return Outclassed(rule=spec.rule.name, monitor=monitor, epoch=epoch, value=value, to_beat=to_beat, trials=trials)
