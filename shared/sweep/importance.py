"""How much of the differences between trials each parameter of a sweep explains.

The main effects of an analysis of variance over the ranks of the trials' values, each corrected for chance (epsilon
squared, Kelley 1935). Optuna's importance would load scikit-learn and pandas into the API, and its fANOVA takes a
minute at 1,000 trials.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from shared.sweep.spec import ChoiceSpec, Parameter, SweepSpec
from shared.sweep.trial import TrialFacts

MIN_TRIALS = 10
_MOST_GROUPS = 8
# Minimum size of a group, so that its mean is meaningful.
_LEAST_TRIALS = 5


def importance(spec: SweepSpec, trials: Sequence[TrialFacts]) -> dict[str, float] | None:
    """The importance of each parameter, largest first, with a sum of 1; None if nothing can be said about any.

    For a parameter that only some trials have: the effect among these, times their fraction of all.
    """
    known = [(trial, value) for trial in trials if (value := trial.best(spec.objective.mode)) is not None]
    if len(known) < MIN_TRIALS:
        return None
    ranks = rank([value for _, value in known])
    effects = dict[str, float]()
    for name, parameter in spec.space.items():
        own = [
            (trial.parameters[name], place)
            for (trial, _), place in zip(known, ranks, strict=True)
            if name in trial.parameters
        ]
        effect = _effect(_groups(parameter, [value for value, _ in own]), [place for _, place in own]) if own else 0.0
        effects[name] = effect * len(own) / len(known)
    whole = sum(effects.values())
    if whole <= 0:
        return None
    return {name: effect / whole for name, effect in sorted(effects.items(), key=lambda one: one[1], reverse=True)}


def rank(values: Sequence[float]) -> list[float]:
    """The rank of each value from 0; equal values share their mean rank."""
    counts, below, ranks = Counter(values), 0, dict[float, float]()
    for value in sorted(counts):
        ranks[value] = below + (counts[value] - 1) / 2
        below += counts[value]
    return [ranks[value] for value in values]


def _groups(parameter: Parameter, values: Sequence[Any]) -> list[int]:
    """The group of each value: its choice, or one of several intervals of a range with equal numbers of trials."""
    if isinstance(parameter, ChoiceSpec):
        return [parameter.choice.index(value) for value in values]
    count = min(_MOST_GROUPS, max(2, len(values) // _LEAST_TRIALS))
    return [int(place * count / len(values)) for place in rank(values)]


def _effect(groups: Sequence[int], ranks: Sequence[float]) -> float:
    """The fraction of the variance of `ranks` between groups, minus what chance would give; at least 0."""
    members: dict[int, list[float]] = {}
    for group, value in zip(groups, ranks, strict=True):
        members.setdefault(group, []).append(value)
    count, mean = len(ranks), sum(ranks) / len(ranks)
    total = sum((value - mean) ** 2 for value in ranks)
    between = sum(len(own) * (sum(own) / len(own) - mean) ** 2 for own in members.values())
    if total == 0 or count <= len(members):
        return 0.0
    within = (total - between) / (count - len(members))
    return max(0.0, (between - (len(members) - 1) * within) / total)
