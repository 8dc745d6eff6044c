"""POST /sweeps/{id}/extend: more trials, or another budget, for a sweep that runs or has ended."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from flask import Response
from pydantic import Field

from api.auth.projects import find_sweep
from api.http.answer import json_response
from api.http.operation import BODY_ERRORS, JSON, json_answer, operation
from api.http.query import no_query
from api.http.strict_json import SMALL_BODY_BYTES, read_object
from api.shapes.sweeps import Sweep
from api.state.service import service
from api.sweeps.report import status_of, sweep_report
from shared.problems import Conflict, NotFound, Problem, Refused, pointer
from shared.spec import Budget, Strict
from shared.sweep.folder import Extension
from shared.sweep.space import count_trials
from shared.sweep.spec import MOST_TRIALS
from shared.sweep.state import SweepSummary, extend_record, read_state
from shared.sweep.steps import why_no_more
from shared.times import parse_time, seconds_until, utc_now
from shared.validation import validate

_LIMITS = ("max_gpu_seconds", "max_cost", "deadline")


class SweepExtendRequest(Strict):
    """Values to raise. Fields left out keep their values."""

    trials: int | None = Field(default=None, ge=1, le=MOST_TRIALS)
    """New maximum number of trials in total."""
    budget: Budget | None = None
    """Limits to raise or add, each as its new total; null removes a limit."""


@operation(
    "extendSweep",
    "sweeps",
    "Extend a sweep by trials or budget",
    {200: json_answer("The running sweep.", Sweep)},
    body={JSON: SweepExtendRequest},
    example={"trials": 60, "budget": {"max_gpu_seconds": 7200}},
    errors=(*BODY_ERRORS, 404, 409, 507),
)
def extend(sweep_id: str) -> Response:
    """Raise the number of trials or the budget of a sweep that runs or has ended. An ended sweep runs again.

    A limit can also be added; what the trials have used so far counts. All values are totals, so repeating the request
    changes nothing. The stored spec does not change.
    """
    no_query()
    folder = find_sweep(sweep_id)
    asked = validate(SweepExtendRequest, read_object(SMALL_BODY_BYTES, service().settings.max_json_depth))
    while True:
        state = service().sweeps.of(folder.id)
        wanted = _extension(state, asked)
        if _is_repeated(state, asked, wanted):
            return json_response(sweep_report(state))
        _check(state, asked, wanted)
        try:
            is_ours = folder.extend(state.extensions + 1, wanted)
        except FileNotFoundError:
            raise NotFound("there is no sweep with this id") from None
        if is_ours:
            return json_response(sweep_report(service().sweeps.of(folder.id)))


def _extension(state: SweepSummary, asked: SweepExtendRequest) -> Extension:
    spec = state.record.spec
    budget = spec.budget
    if "budget" in asked.model_fields_set:
        changes = asked.budget.model_dump(exclude_unset=True) if asked.budget else dict.fromkeys(_LIMITS)
        changed = (spec.budget or Budget()).model_copy(update=changes)
        budget = None if changed == Budget() else changed
    return Extension(extended_at=utc_now(), trials=asked.trials or spec.trials, budget=budget)


def _asks_something(asked: SweepExtendRequest) -> bool:
    return asked.trials is not None or "budget" in asked.model_fields_set


def _is_repeated(state: SweepSummary, asked: SweepExtendRequest, wanted: Extension) -> bool:
    """Whether an earlier extension asked for the same."""
    spec = state.record.spec
    return (
        _asks_something(asked) and state.extensions > 0 and (wanted.trials, wanted.budget) == (spec.trials, spec.budget)
    )


def _check(state: SweepSummary, asked: SweepExtendRequest, wanted: Extension) -> None:
    """Raise Conflict if the sweep cannot be extended, and Refused with all problems of the request."""
    if state.cancel is not None or state.status in {"failed_trials", "data_changed"}:
        reason = "was cancelled" if state.cancel is not None else f"has {status_of(state)}"
        raise Conflict(f"the sweep {reason} and cannot be extended; post its spec as a new sweep")
    problems = [*_check_trials(state, asked, wanted), *_check_budget(state, asked)]
    if not problems:
        problems = _check_end(state, wanted)
    if problems:
        raise Refused(problems)


def _check_trials(state: SweepSummary, asked: SweepExtendRequest, wanted: Extension) -> Iterator[Problem]:
    spec = state.record.spec
    if not _asks_something(asked):
        yield Problem("#", "nothing to change; expected trials or budget", "missing")
    if asked.trials is None:
        return
    if asked.trials < spec.trials:
        detail = f"received {asked.trials}, and the sweep has {spec.trials}; expected more than that"
        yield Problem(pointer("trials"), detail, "not_more")
    elif asked.trials > spec.trials and count_trials(extend_record(state.record, wanted).spec) == state.most_trials:
        detail = f"received {asked.trials}, and the grid has only {state.most_trials} different trials"
        yield Problem(pointer("trials"), detail, "not_more")


def _check_budget(state: SweepSummary, asked: SweepExtendRequest) -> Iterator[Problem]:
    known = state.record.spec.budget or Budget()
    for name in _LIMITS:
        before, value = getattr(known, name), getattr(asked.budget, name, None)
        if value is None:
            continue
        if name == "deadline" and seconds_until(value) <= 0:
            yield _problem(name, f"received {value}, which has passed; expected a later time", "passed")
        elif before is None:
            yield from _check_new_limit(state, name, value)
        elif (parse_time(value) < parse_time(before)) if name == "deadline" else (value < before):
            yield _problem(name, f"received {value}, and the sweep has {before}; expected more than that", "not_more")


def _check_new_limit(state: SweepSummary, name: str, value: Any) -> Iterator[Problem]:
    """The problems of a limit that the sweep did not have."""
    if name == "deadline":
        return
    used = state.gpu_seconds if name == "max_gpu_seconds" else max(state.costs().values(), default=0.0)
    if value <= used:
        yield _problem(name, f"received {value}, and the trials have used {used:.6g}; expected more", "not_more")
    unpriced = [str(one.number) for one in state.trials if one.status == "running" and not one.cost]
    if name == "max_cost" and unpriced:
        detail = f"received {value}, and no price is known for trials that run now: {', '.join(unpriced)}"
        yield _problem(name, detail, "no_price")


def _problem(name: str, detail: str, code: str) -> Problem:
    return Problem(pointer("budget", name), detail, code)


def _check_end(state: SweepSummary, wanted: Extension) -> list[Problem]:
    """The problem of a request that changes nothing, or after which the sweep would end without another trial."""
    spec = state.record.spec
    if (wanted.trials, wanted.budget) == (spec.trials, spec.budget):
        return [Problem("#", "nothing changes; expected more trials or more budget", "not_more")]
    whole = read_state(service().volume, state.record.id) if state.end is not None else None
    if whole is None:
        return []
    why = why_no_more(replace(whole, record=extend_record(state.record, wanted), end=None))
    if why is None:
        return []
    place = pointer("trials") if why[0] == "completed" else pointer("budget")
    return [Problem(place, f"the sweep would end again immediately: {why[1]}", "nothing_left")]
