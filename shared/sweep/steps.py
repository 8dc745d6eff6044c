"""What is to be done for a sweep now, from its state alone: propose, make a job, stop, cancel, end.

Each step may be done by any process and by several at once: the files decide.
"""

import math
from dataclasses import dataclass
from statistics import median

from shared.budget import used_words
from shared.job import BudgetUsed, StopRequest
from shared.spec import Budget
from shared.sweep.folder import EndReason
from shared.sweep.rules import judge
from shared.sweep.state import SweepState
from shared.sweep.trial import Trial
from shared.times import seconds_until, utc_now

# A running trial is asked to stop when less than this is left for it: until the next look, and the time to save.
_STOP_SECONDS = 1.4


@dataclass(frozen=True)
class Propose:
    """Propose trial `number`; `unfinished` are the earlier ones whose results are not known, `budget` what is left."""

    number: int
    unfinished: tuple[int, ...]
    budget: Budget | None


@dataclass(frozen=True)
class MakeJob:
    """Make the job of a trial that was proposed by somebody who did not come to it."""

    trial: Trial


@dataclass(frozen=True)
class StopTrial:
    """Stop a running trial."""

    trial: Trial
    request: StopRequest


@dataclass(frozen=True)
class CancelTrial:
    """Cancel a trial that nobody wants any more."""

    trial: Trial


@dataclass(frozen=True)
class End:
    """End the sweep."""

    reason: EndReason
    message: str


Step = Propose | MakeJob | StopTrial | CancelTrial | End


def next_steps(state: SweepState) -> list[Step]:
    """The steps, of which at most one proposes: the next proposal has to know of it."""
    if state.end is not None:
        return []
    if stops := [*_stop_for_budget(state), *_cancel_rest(state)]:
        return stops
    begin = [*_make_jobs(state), *_propose(state)]
    return [*_stop_outclassed(state), *begin] or _end(state)


def _make_jobs(state: SweepState) -> list[Step]:
    return [MakeJob(trial) for trial in state.unfinished if trial.status == "proposed"]


def _propose(state: SweepState) -> list[Step]:
    if len(state.unfinished) >= state.record.spec.parallel or why_no_more(state) is not None:
        return []
    number = max((trial.number for trial in state.trials), default=0) + 1
    return [Propose(number, tuple(trial.number for trial in state.unfinished), _what_is_left(state))]


def _end(state: SweepState) -> list[Step]:
    why = why_no_more(state)
    return [End(*why)] if why is not None and not state.unfinished else []


def _cancel_rest(state: SweepState) -> list[Step]:
    """Where the sweep is cancelled, all that has not ended; where its budget is used up, what has not begun."""
    if state.cancel is None and used_up(state) is None:
        return []
    rest = [trial for trial in state.unfinished if state.cancel is not None or trial.status != "running"]
    # A trial without a job has its job first: another worker may be making it at this moment.
    return [
        MakeJob(trial) if trial.status == "proposed" else CancelTrial(trial)
        for trial in rest
        if not trial.is_stop_requested
    ]


def _stop_outclassed(state: SweepState) -> list[Step]:
    steps: list[Step] = []
    for trial in state.trials:
        if trial.status == "running" and not trial.is_stop_requested:
            found = judge(state.record.spec, trial, state.trials)
            if found is not None:
                steps.append(StopTrial(trial, StopRequest(requested_at=utc_now(), outclassed=found)))
    return steps


# The budget


def _stop_for_budget(state: SweepState) -> list[Step]:
    used = used_up(state)
    if used is None:
        return []
    running = [trial for trial in state.unfinished if trial.status == "running" and not trial.is_stop_requested]
    return [StopTrial(trial, StopRequest(requested_at=utc_now(), budget=used)) for trial in running]


def used_up(state: SweepState) -> BudgetUsed | None:
    """The limit of the sweep's budget of which nothing is left for the trials that run; None where all leave some."""
    running = sum(trial.status == "running" for trial in state.trials)
    for used, seconds in _limits(state):
        if seconds <= running * _STOP_SECONDS:
            return used
    return None


def _what_is_left(state: SweepState) -> Budget | None:
    """The sweep's budget for one more trial: all that is left, which the trials beside it share."""
    budget = state.record.spec.budget
    if budget is None:
        return None
    seconds, cost = budget.max_gpu_seconds, budget.max_cost
    spent = max(state.costs().values(), default=0.0)
    return Budget(
        max_gpu_seconds=None if seconds is None else seconds - state.gpu_seconds,
        max_cost=None if cost is None else cost - spent,
        deadline=budget.deadline,
    )


def _limits(state: SweepState) -> list[tuple[BudgetUsed, float]]:
    """Each limit of the budget, with the seconds of compute time that are left of it, of all trials together."""
    budget, limits, sweep = state.record.spec.budget, list[tuple[BudgetUsed, float]](), state.record.id
    if budget is None:
        return []
    if budget.max_gpu_seconds is not None:
        used, limit = state.gpu_seconds, budget.max_gpu_seconds
        told = BudgetUsed(kind="max_gpu_seconds", limit=limit, used=round(used, 3), sweep=sweep)
        limits.append((told, limit - used))
    if budget.max_cost is not None:
        currency, cost = max(state.costs().items(), key=lambda one: one[1], default=(None, 0.0))
        told = BudgetUsed(kind="max_cost", limit=budget.max_cost, used=round(cost, 6), currency=currency, sweep=sweep)
        limits.append((told, _seconds_for(state, budget.max_cost - cost)))
    if budget.deadline is not None:
        told = BudgetUsed(kind="deadline", limit=budget.deadline, used=utc_now(), sweep=sweep)
        running = max(1, sum(trial.status == "running" for trial in state.trials))
        limits.append((told, seconds_until(budget.deadline) * running))
    return limits


def _seconds_for(state: SweepState, cost: float) -> float:
    """The compute time that an amount buys at the newest price; without end where nothing costs anything."""
    prices = [trial.price_per_hour for trial in state.trials if trial.price_per_hour is not None]
    if not prices or not prices[-1]:
        return math.copysign(math.inf, cost)
    return cost * 3600 / prices[-1]


def usual_seconds(state: SweepState) -> float | None:
    """The median of the compute time of the trials that have succeeded; None before the first."""
    times = [trial.held for trial in state.trials if trial.status == "succeeded"]
    return median(times) if times else None


def _cannot_finish(state: SweepState) -> str | None:
    """Why a trial that started now could not finish within what is left of the budget; None where it could."""
    usual = usual_seconds(state)
    if usual is None:
        return None
    running = sum(max(0.0, usual - trial.held) for trial in state.unfinished)
    for used, seconds in _limits(state):
        needed = usual * max(1, len(state.unfinished)) if used.kind == "deadline" else usual + running
        if seconds < needed:
            return f"{used_words(used)} are used, and the median trial takes {usual:.3g} s"
    return None


def why_no_more(state: SweepState) -> tuple[EndReason, str] | None:
    """Why no further trial is proposed; None where one may be."""
    spec = state.record.spec
    if state.cancel is not None:
        return "cancelled", f"it was cancelled after {len(state.trials)} trials"
    if any(trial.status == "refused" and trial.reason == "data_changed" for trial in state.trials):
        message = next(trial.message for trial in state.trials if trial.reason == "data_changed")
        return "data_changed", message or "its data is gone"
    if state.failed >= spec.max_failed_trials:
        return "failed_trials", f"{state.failed} trials failed, the maximum"
    if len(state.trials) >= state.most_trials:
        return "completed", f"all {state.most_trials} trials have ended"
    used = used_up(state)
    if used is not None:
        return "budget", f"its budget is used up: {used_words(used)}"
    short = _cannot_finish(state)
    return ("budget", f"no further trial fits into its budget: {short}") if short else None
