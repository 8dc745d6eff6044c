"""Divides the budget of a sweep among its trials.

Each trial has a share, a maximum for all its attempts together, and holds itself to it by its own clock. A share is
never reduced while its trial runs. What the ended trials used and the shares of the others never exceed the budget, so
no trial has to know what the others use at this moment.

A share reaches a part of the budget ahead of what its trial has used, and is raised when half of that is used; the rest
stays for the trials to come. Near the end all that is left is divided equally.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.spec import Budget
from shared.sweep.folder import Share, Shares
from shared.sweep.state import SweepState
from shared.sweep.trial import Trial

_Kind = Literal["max_gpu_seconds", "max_cost"]

# How far a share reaches ahead: long against the time between two looks of a worker.
REACH_SECONDS = 20.0
# Less than this does not start a trial, and near the end of a limit nothing more begins.
LEAST_SECONDS = 2.0
_REACH = 0.01
# Raises below this part of the reach would be many, and gain nothing.
_LEAST_RAISE = 0.01


@dataclass(frozen=True)
class Use:
    """One unfinished trial: its share of a limit, and how much of it is used, in the limit's unit."""

    share: float
    used: float

    @property
    def taken(self) -> float:
        """What the trial takes of the limit: its share, or more where it used more."""
        return max(self.share, self.used)


def divide(limit: float, ended: float, uses: Sequence[Use], most: int, second: float | None) -> list[float]:
    """The new share of each unfinished trial: not below the present one, and above it by no more than is left.

    A trial that runs without one, since the sweep has this limit only now, has at least what it has used: it stops.
    `limit`: of all trials together, in any unit. `ended`: what the ended trials used of it. `most`: the number of
    trials that may run at once. `second`: what a second of a trial uses of the limit; None where that is not known.
    """
    free = limit - ended - sum(use.used for use in uses)
    pool = limit - ended - sum(use.taken for use in uses)
    lines = max(len(uses), _most_lines(free, most, second))
    reach = min(_reach(limit, most, second), free / max(1, lines))
    asked = [reach - (use.taken - use.used) for use in uses]
    asked = [one if use.taken - use.used < reach / 2 else 0.0 for one, use in zip(asked, uses, strict=True)]
    total = sum(asked)
    part = 0.0 if total <= 0 or pool < reach * _LEAST_RAISE else min(1.0, pool / total)
    raised = [use.taken + one * part if one > 0 and part else use.share for one, use in zip(asked, uses, strict=True)]
    return [share or use.used for share, use in zip(raised, uses, strict=True)]


def _most_lines(free: float, most: int, second: float | None) -> int:
    """Among how many trials what is left may be divided, so that each has enough to start."""
    return most if not second else max(1, min(most, int(free / (LEAST_SECONDS * second))))


def _reach(limit: float, most: int, second: float | None) -> float:
    """How far a share reaches ahead of what is used. Half of the limit stays where a second's price is not known."""
    if second is None:
        return limit / (2 * max(1, most))
    return max(REACH_SECONDS * second, _REACH * limit)


def shares_of(state: SweepState) -> Mapping[int, Share]:
    """The share of each trial that has one, by its number."""
    return state.shares.trials if state.shares else {}


def devices_of(state: SweepState) -> int:
    """The most GPUs that a trial trains on, each of which uses a second in a second; 1 before any is known."""
    return max((trial.devices for trial in state.trials), default=1)


def price_of_second(state: SweepState) -> float | None:
    """The highest price that a trial's worker asks for a second of one GPU; None where none is known yet."""
    return max((trial.price_per_hour or 0.0 for trial in state.trials), default=0.0) / 3600 or None


def divide_again(state: SweepState, following: int | None, most: int) -> Shares | None:
    """The next division of a sweep's budget; None where the newest one serves still, and without a budget.

    `following`: the number of the trial to be proposed next. It has no share where not enough is left to start it.
    `most`: the number of trials that may run at once.
    """
    known = shares_of(state)
    # Of a budget that an extension has removed, nothing bounds the trials that run.
    budget = state.record.spec.budget or (Budget() if known else None)
    if budget is None:
        return None
    trials = _trials(state, following)
    seconds = _divide_limit(state, budget, "max_gpu_seconds", trials, most)
    costs = _divide_limit(state, budget, "max_cost", trials, most)
    divided = {
        number: _share(known.get(number), Budget(max_gpu_seconds=time, max_cost=cost, deadline=budget.deadline))
        for (number, trial), time, cost in zip(trials.items(), seconds, costs, strict=True)
        if _is_enough(state, trial, time, cost)
    }
    if all(known.get(number) == share for number, share in divided.items()):
        return None
    return Shares(number=state.shares.number + 1 if state.shares else 1, trials=divided)


def _trials(state: SweepState, following: int | None) -> dict[int, Trial | None]:
    """The trials that share, by their numbers; None for those that are not proposed yet.

    What the newest division holds for a trial stays: another worker may be proposing it at this moment.
    """
    newest = max((trial.number for trial in state.trials), default=0)
    reserved = [number for number in shares_of(state) if number > newest]
    unfinished = {trial.number: trial for trial in state.unfinished}
    return {**unfinished, **dict.fromkeys([*reserved, *([following] if following else [])])}


def _divide_limit(
    state: SweepState, budget: Budget, kind: _Kind, trials: Mapping[int, Trial | None], most: int
) -> Sequence[float | None]:
    limit = getattr(budget, kind)
    if limit is None:
        return [None] * len(trials)
    known = shares_of(state)
    uses = [
        Use((known[number].budget.model_dump()[kind] or 0.0) if number in known else 0.0, _use_of(trial, kind))
        for number, trial in trials.items()
    ]
    ended = sum(_use_of(trial, kind) for trial in state.trials if trial.is_finished)
    price = 1.0 if kind == "max_gpu_seconds" else price_of_second(state)
    return divide(limit, ended, uses, most, price and price * devices_of(state))


def _use_of(trial: Trial | None, kind: _Kind) -> float:
    if trial is None:
        return 0.0
    return trial.held if kind == "max_gpu_seconds" else max(trial.cost.values(), default=0.0)


def _share(before: Share | None, budget: Budget) -> Share:
    if before is not None and before.budget == budget:
        return before
    return Share(number=before.number + 1 if before else 1, budget=budget)


def _is_enough(state: SweepState, trial: Trial | None, seconds: float | None, cost: float | None) -> bool:
    """Whether a share is one: above zero, and for a trial that is not proposed yet enough to start it."""
    # A share of exactly the least may be a rounding error below it.
    least = 0.999 * LEAST_SECONDS * devices_of(state) if trial is None else 0.0
    least_cost = least * (price_of_second(state) or 0.0)
    pairs = ((seconds, least), (cost, least_cost))
    return all(own is None or (own > 0 and own >= minimum) for own, minimum in pairs)
