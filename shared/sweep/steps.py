"""The next steps of a sweep, from its state alone: divide its budget, propose, make a job, stop, cancel, end.

Any process may do a step, and several at once: the files decide.
"""

import math
from dataclasses import dataclass
from statistics import median

from shared.budget import used_words
from shared.job import BudgetUsed, StopRequest
from shared.sweep.folder import EndReason, Shares
from shared.sweep.rules import judge
from shared.sweep.shares import LEAST_SECONDS, devices_of, divide_again, price_of_second, shares_of
from shared.sweep.state import SweepState, SweepStateOf
from shared.sweep.trial import Trial, TrialFacts
from shared.times import seconds_until, utc_now


@dataclass(frozen=True)
class Divide:
    """Divide the sweep's budget among its trials."""

    shares: Shares


@dataclass(frozen=True)
class Propose:
    """Propose trial `number`; `unfinished` are the earlier trials whose results are not known."""

    number: int
    unfinished: tuple[int, ...]


@dataclass(frozen=True)
class MakeJob:
    """Make the job of a proposed trial whose proposer has not made it."""

    trial: Trial


@dataclass(frozen=True)
class StopTrial:
    """Stop a running trial."""

    trial: Trial
    request: StopRequest


@dataclass(frozen=True)
class CancelTrial:
    """Cancel a trial of a sweep that was cancelled or has used up its budget."""

    trial: Trial


@dataclass(frozen=True)
class End:
    """End the sweep."""

    reason: EndReason
    message: str


Step = Divide | Propose | MakeJob | StopTrial | CancelTrial | End


def next_steps(state: SweepState, *, is_full: bool = False) -> list[Step]:
    """The next steps. At most one proposes, since the next proposal has to know of it.

    If the quota of the sweep's project `is_full`, none proposes: the next trial waits.
    """
    if state.end is not None:
        return []
    if stops := _cancel_rest(state):
        return stops
    number = None if is_full else _next_number(state)
    begin = [*_divide(state, number), *_make_jobs(state), *_propose(state, number)]
    return [*_stop_outclassed(state), *begin] or _end(state)


def _make_jobs(state: SweepState) -> list[Step]:
    return [MakeJob(trial) for trial in state.unfinished if trial.status == "proposed"]


def _propose(state: SweepState, number: int | None) -> list[Step]:
    if number is None or (state.record.spec.budget is not None and number not in shares_of(state)):
        return []
    return [Propose(number, tuple(trial.number for trial in state.unfinished))]


def _next_number(state: SweepState) -> int | None:
    """The number of the trial that may be proposed now; None if none may be."""
    if len(state.unfinished) >= state.record.spec.parallel or why_no_more(state) is not None:
        return None
    return max((trial.number for trial in state.trials), default=0) + 1


def may_have_next(state: SweepStateOf[TrialFacts]) -> bool:
    """Whether a further trial may start beside the unfinished ones, if the budget and the rules allow it."""
    is_open = state.end is None and state.cancel is None
    return is_open and len(state.unfinished) < state.record.spec.parallel and len(state.trials) < state.most_trials


def _end(state: SweepState) -> list[Step]:
    why = why_no_more(state)
    return [End(*why)] if why is not None and not state.unfinished else []


def _cancel_rest(state: SweepState) -> list[Step]:
    """Cancel all unfinished trials if the sweep is cancelled; if its budget is used up, those that do not run."""
    if state.cancel is None and used_up(state) is None:
        return []
    rest = [trial for trial in state.unfinished if state.cancel is not None or trial.status != "running"]
    # A trial without a job gets one first: another worker may be making it at this moment.
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


def _divide(state: SweepState, number: int | None) -> list[Step]:
    """Divide the budget again if a trial needs more or trial `number` is to be proposed."""
    to_come = 0 if why_no_more(state) is not None else state.most_trials - len(state.trials)
    most = min(state.record.spec.parallel, len(state.unfinished) + to_come)
    shares = divide_again(state, number, most)
    return [Divide(shares)] if shares else []


def used_up(state: SweepState) -> BudgetUsed | None:
    """The limit of the sweep's budget that leaves too little to begin anything; None if there is none."""
    least = LEAST_SECONDS * devices_of(state)
    return next((used for used, seconds in _limits(state) if seconds <= least), None)


def _limits(state: SweepState) -> list[tuple[BudgetUsed, float]]:
    """Each limit of the budget, with the seconds of compute time that it leaves for all trials together."""
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
        running = max(1, sum(trial.devices for trial in state.trials if trial.status == "running"))
        limits.append((told, seconds_until(budget.deadline) * running))
    return limits


def _seconds_for(state: SweepState, cost: float) -> float:
    """The compute time that an amount buys at the highest price; infinite if no price is known."""
    price = price_of_second(state)
    return cost / price if price else math.copysign(math.inf, cost)


def usual_seconds(state: SweepState) -> float | None:
    """The median of the compute time of the trials that have succeeded; None before the first."""
    times = [trial.held for trial in state.trials if trial.status == "succeeded"]
    return median(times) if times else None


def _cannot_finish(state: SweepState) -> str | None:
    """Why a trial that started now could not finish within what is left of the budget; None if it could."""
    usual = usual_seconds(state)
    if usual is None:
        return None
    running = sum(max(0.0, usual - trial.held) for trial in state.unfinished)
    for used, seconds in _limits(state):
        needed = usual * max(1, len(state.unfinished)) if used.kind == "deadline" else usual + running
        if seconds < needed:
            so_far = "" if used.kind == "deadline" else " are used"
            return f"{used_words(used)}{so_far}, and the median trial takes {usual:.3g} s"
    return None


def why_no_more(state: SweepState) -> tuple[EndReason, str] | None:
    """Why no further trial is proposed; None if one may be."""
    spec = state.record.spec
    if state.cancel is not None:
        return "cancelled", f"it was cancelled after {len(state.trials)} trials"
    if any(trial.status == "refused" and trial.reason == "data_changed" for trial in state.trials):
        message = next(trial.message for trial in state.trials if trial.reason == "data_changed")
        return "data_changed", message or "its data is gone"
    if state.failed >= spec.max_failed_trials:
        return "failed_trials", f"{state.failed} trials {_how_failed(state)}, the maximum"
    if len(state.trials) >= state.most_trials:
        return _find_completion(state)
    used = used_up(state)
    if used is not None:
        return "budget", f"its budget is used up: {used_words(used)}"
    short = _cannot_finish(state)
    return ("budget", f"no further trial fits into its budget: {short}") if short else None


def _find_completion(state: SweepState) -> tuple[EndReason, str]:
    if state.failed == len(state.trials):
        return "failed_trials", f"all {state.failed} trials {_how_failed(state)}"
    return "completed", f"all {state.most_trials} trials have ended"


def _how_failed(state: SweepState) -> str:
    if all(trial.has_failed for trial in state.trials if trial.is_finished):
        return "failed"
    return f"failed or have no value of {state.record.spec.objective.monitor}"
