"""Divides the budget of a sweep among its trials.

Each trial has a share, a maximum for all its attempts together, and enforces it by its own clock. A share is never
reduced while its trial runs. What the ended trials used and the shares of the others never exceed the budget, so no
trial has to know what the others use at the moment.

A share exceeds what its trial has used by a reach, a part of the budget, and is raised when half of the reach is used.
The rest stays for later trials. Near the end, everything that is left is divided equally.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.spec import Budget
from shared.sweep.folder import Share, Shares
from shared.sweep.state import SweepState
from shared.sweep.trial import Trial

_Kind = Literal["max_gpu_seconds", "max_cost"]

# By how much a share exceeds what is used: long compared to the time between two looks of a worker.
REACH_SECONDS = 20.0
# Minimum to start a trial. If a limit has less left, nothing more begins.
LEAST_SECONDS = 2.0
_REACH = 0.01
# Minimum raise as a fraction of the reach: smaller ones gain nothing.
_LEAST_RAISE = 0.01


@dataclass(frozen=True)
class Use:
    """One unfinished trial: its share of a limit, and how much of it is used, in the limit's unit."""

    share: float
    used: float

    @property
    def taken(self) -> float:
        """What the trial takes of the limit: its share, or what it used if that is more."""
        return max(self.share, self.used)


def divide(limit: float, ended: float, uses: Sequence[Use], most: int, second: float | None) -> list[float]:
    """The new share of each unfinished trial: at least the current one, and raised by no more than is left.

    A trial that runs without a share, because the sweep has this limit only now, gets at least what it has used: it
    stops. `limit`: of all trials together, in any unit. `ended`: what the ended trials used of it. `most`: the maximum
    number of concurrent trials. `second`: what a second of a trial uses of the limit; None if that is not known.
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
    """The number of trials among which the rest can be divided so that each has enough to start."""
    return most if not second else max(1, min(most, int(free / (LEAST_SECONDS * second))))


def _reach(limit: float, most: int, second: float | None) -> float:
    """By how much a share exceeds what is used. Half of the limit stays if a second's price is not known."""
    if second is None:
        return limit / (2 * max(1, most))
    return max(REACH_SECONDS * second, _REACH * limit)


def shares_of(state: SweepState) -> Mapping[int, Share]:
    """The share of each trial that has one, by its number."""
    return state.shares.trials if state.shares else {}


def devices_of(state: SweepState) -> int:
    """The maximum number of GPUs of a trial, each of which uses a second in a second; 1 before any is known."""
    return max((trial.devices for trial in state.trials), default=1)


def price_of_second(state: SweepState) -> float | None:
    """The highest price that a trial's worker asks for a second of one GPU; None if none is known, or all are 0."""
    return max((trial.price_per_hour or 0.0 for trial in state.trials), default=0.0) / 3600 or None


def divide_again(state: SweepState, following: int | None, most: int) -> Shares | None:
    """The next division of a sweep's budget; None if the newest one still applies, or there is no budget.

    `following`: the number of the trial to be proposed next. It gets no share if not enough is left to start it.
    `most`: the maximum number of concurrent trials.
    """
    known = shares_of(state)
    # If an extension has removed the budget, nothing limits the trials that run.
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

    A trial keeps its share from the newest division: another worker may be proposing it at this moment.
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
    """Whether a share suffices: above zero, and enough to start a trial that is not proposed yet."""
    # A share of exactly the minimum may be below it by a rounding error.
    least = 0.999 * LEAST_SECONDS * devices_of(state) if trial is None else 0.0
    least_cost = least * (price_of_second(state) or 0.0)
    pairs = ((seconds, least), (cost, least_cost))
    return all(own is None or (own > 0 and own >= minimum) for own, minimum in pairs)
