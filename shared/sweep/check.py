"""Checks a posted sweep: one refusal that names every problem.

Each choice and both ends of each range are put into the job's spec, and each such spec is judged like a posted job.
Values between two ends are judged when they are proposed.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.findings import Findings
from shared.job import JobRecord
from shared.problems import FitstopError, Problem, Refused, at_most_shown, list_names, nearest, pointer
from shared.resolve.draft import Draft, make_draft
from shared.resolve.job import auto_monitor, judge_budget
from shared.spec import ProgramJobSpec
from shared.sweep.space import (
    NoSuchPlace,
    allowed,
    bounds,
    choose_first,
    ends,
    grid_values,
    in_order,
    numeric,
    parts_of,
    place_of,
    trial_document,
)
from shared.sweep.spec import ChoiceSpec, IntSpec, LogSpec, Objective, Parameter, SweepSpec
from shared.task import better_mode
from shared.weights import weights_of

Judge = Callable[[dict[str, Any]], JobRecord]

MOST_JUDGED = 600
# Samplers compute with floats, which represent every whole number up to this one exactly.
MOST_EXACT = 2**53
# Fields of the rule that only one rule reads.
_FIELDS_OF_RULES = {"min_chance": "forecast", "reduction_factor": "asha"}


@dataclass(frozen=True)
class Checked:
    """A fully resolved sweep, the record that its first trial could have, and its data (`data_sha256`).

    `uploads` are those that its jobs need, each by its kind and id.
    """

    spec: SweepSpec
    record: JobRecord
    data_sha256: tuple[str, ...]
    uploads: tuple[str, ...]


def check(document: Any, judge: Judge) -> Checked:
    """Check the sweep that a client posted. `judge` makes the record of a job from its spec, as for a posted job.

    Raises Refused with every problem, or another error of `judge` if that is the only problem.
    """
    draft = make_draft(SweepSpec, document, {})
    if draft.value is None:
        raise Refused(at_most_shown(draft.faults.problems))
    return _Check(draft, draft.value, judge).checked()


class _Check:
    def __init__(self, draft: Draft[SweepSpec], spec: SweepSpec, judge: Judge) -> None:
        self._spec = spec
        self._space = spec.space
        self._judge = judge
        self._found = Findings(draft.faults)
        self._extra: list[Problem] = []
        self._other: FitstopError | None = None
        self._seen: set[tuple[str, str]] = set()
        self._no_places: set[str] = set()
        self._no_conditions: set[str] = set()
        self._refused: set[str] = set()
        self._records: list[tuple[str, Any, JobRecord]] = []

    def checked(self) -> Checked:
        self._judge_ranges()
        self._judge_conditions()
        self._judge_sampler()
        self._judge_rule()
        budget = judge_budget(self._spec.budget, self._found)
        first = self._judge_jobs()
        objective = self._judge_objective(first) if first else self._spec.objective
        self._raise_problems()
        assert first is not None
        name = self._spec.name or first.spec.name
        spec = self._spec.model_copy(update={"name": name, "objective": objective, "budget": budget})
        records = [record for _, _, record in self._records]
        data = sorted({record.data_sha256 for record in records})
        uploads = sorted({upload for record in records for upload in _uploads_of(record)})
        return Checked(spec, first, tuple(data), tuple(uploads))

    def _raise_problems(self) -> None:
        problems = [*self._found.problems, *self._extra]
        if self._other is not None and not problems:
            raise self._other
        if self._other is not None:
            problems.append(Problem(pointer("job"), str(self._other), self._other.code))
        if problems:
            raise Refused(at_most_shown(problems))

    def _problem(self, name: str, detail: str, code: str, *below: str) -> None:
        self._extra.append(Problem(pointer("space", name, *below), detail, code))

    # Ranges and conditions

    def _judge_ranges(self) -> None:
        for name, parameter in self._space.items():
            if isinstance(parameter, ChoiceSpec):
                self._judge_choice(name, parameter.choice)
                continue
            low, high = bounds(parameter)
            if not low < high:
                self._problem(name, f"received [{low}, {high}]; expected a lower end and a higher one", "bad_range")
            elif (detail := _why_unusable(parameter)) is not None:
                self._problem(name, detail, "bad_range")
            elif getattr(parameter, "step", 1) != 1 and getattr(parameter, "log", False) is True:
                self._problem(name, "has a step and is logarithmic; give one of the two", "two_scales", "step")
            elif isinstance(low, int) and low < 1 and getattr(parameter, "log", False) is True:
                self._problem(
                    name, f"received {low} as the lower end of a logarithmic range; expected 1 or more", "bad_range"
                )

    def _judge_choice(self, name: str, values: Sequence[Any]) -> None:
        for place, value in enumerate(values):
            if place_of(value, values) != place:
                detail = f"received {json.dumps(value)} twice; leave one of the two out"
                self._problem(name, detail, "same_value", "choice", str(place))

    def _judge_conditions(self) -> None:
        for name, parameter in self._space.items():
            for other, values in (parameter.when or {}).items():
                self._judge_condition(name, other, allowed(values))
        known = {
            name: parameter.model_copy(update={"when": None}) if name in self._no_conditions else parameter
            for name, parameter in self._space.items()
        }
        ordered = in_order(known)
        for name in known:
            if name not in ordered:
                self._problem(name, "its conditions are circular", "circular_conditions", "when")
            elif _requirements(known, name) is None:
                detail = "its conditions contradict those of the parameters that they name"
                self._problem(name, detail, "contradiction", "when")

    def _judge_condition(self, name: str, other: str, values: list[Any]) -> None:
        known = len(self._extra)
        self._find_impossible(name, other, values)
        if len(self._extra) > known:
            self._no_conditions.add(name)

    def _find_impossible(self, name: str, other: str, values: list[Any]) -> None:
        if other == name:
            self._problem(name, "names itself", "circular_conditions", "when", other)
        elif other not in self._space:
            if self._found.is_sure("space"):
                detail = f"the space has no such parameter.{nearest(other, list(self._space))}"
                self._problem(
                    name, f"{detail} It has {list_names(list(self._space))}", "unknown_parameter", "when", other
                )
        else:
            for value in values:
                if not _can_have(self._space[other], value):
                    self._problem(
                        name,
                        f"received {json.dumps(value)}, which {other} never has",
                        "impossible_value",
                        "when",
                        other,
                    )

    # The sampler and the rule

    def _judge_sampler(self) -> None:
        if self._spec.sampler == "grid":
            for name, parameter in self._space.items():
                if grid_values(parameter) is None:
                    self._problem(name, "a grid needs lists of values: use choice or int", "no_grid")
        if self._spec.sampler == "cmaes" and len(numeric(self._space)) < 2:
            detail = "cmaes needs two or more ranges without conditions; use tpe"
            self._extra.append(Problem(pointer("sampler"), detail, "too_few_ranges"))

    def _judge_rule(self) -> None:
        rule = self._spec.rule
        for field, owner in _FIELDS_OF_RULES.items():
            if field in rule.model_fields_set and rule.name != owner:
                detail = f'is a setting of the rule "{owner}", and the rule is "{rule.name}"'
                self._extra.append(Problem(pointer("rule", field), detail, "not_of_this_rule"))

    # The jobs

    def _judge_jobs(self) -> JobRecord | None:
        """The record of the first trial; None if it is refused."""
        if sum(len(ends(parameter)) for parameter in self._space.values()) > MOST_JUDGED:
            detail = f"has more than {MOST_JUDGED} choices in total; remove some, or use ranges"
            self._extra.append(Problem(pointer("space"), detail, "too_many_choices"))
            return None
        self._judge_one({}, None)
        for name, parameter in self._space.items():
            forced = {} if name in self._no_conditions else _requirements(self._space, name) or {}
            for value in ends(parameter) if name not in self._no_places else ():
                self._judge_one({**forced, name: value}, name)
        if not self._records:
            # Again without the refused parameters, so that the rest is judged.
            self._judge_one({}, None)
        return self._records[0][2] if self._records else None

    def _judge_one(self, forced: Mapping[str, Any], name: str | None) -> None:
        left_out = (self._no_places | self._refused) - set(forced)
        chosen = {**choose_first(self._space, forced), **forced}
        chosen = {one: value for one, value in chosen.items() if one not in left_out}
        try:
            record = self._judge(trial_document(self._spec, chosen))
        except NoSuchPlace as error:
            self._refuse_place(error, forced, name)
        except Refused as refused:
            for problem in refused.problems:
                self._take(problem, name, forced.get(name) if name else None)
        except FitstopError as error:
            self._other = error
        else:
            self._records.append((name or "", forced.get(name) if name else None, record))

    def _refuse_place(self, error: NoSuchPlace, forced: Mapping[str, Any], name: str | None) -> None:
        """Report a parameter that a trial has no place for, and judge the trial without it."""
        place = error.pointer
        if place not in self._no_places:
            self._no_places.add(place)
            detail = f"the job's spec has no such field: {error}"
            if any(_is_inside(place, other) for other in self._space if other != place):
                detail += "; set a condition (when), for the trials that have it"
            self._problem(place, detail, "unknown_place")
        if place not in forced:
            self._judge_one(forced, name)

    def _take(self, problem: Problem, name: str | None, value: Any) -> None:
        """Report a problem of a trial's spec at the parameter that it belongs to, else in the job."""
        place = problem.pointer.removeprefix("#")
        owner = next((one for one in self._space if _is_inside(place, one)), None)
        if owner is None and problem.code == "unknown_field":
            # The field is on the path to a parameter and was created for it.
            owner = next((one for one in self._space if _is_inside(one, place)), None)
        if owner is None and name is not None and ("job", place) in self._seen:
            return
        if owner is None and name is not None:
            # The value of a parameter makes another part of the spec wrong.
            detail = f"with {json.dumps(value)}: {place} {problem.detail}"
            owner, problem = name, Problem(problem.pointer, detail, problem.code)
        key = (owner or "job", place if owner is None else problem.detail)
        if key in self._seen:
            return
        self._seen.add(key)
        self._refused.update([owner] if owner else [])
        where = pointer("space", owner) if owner else "#/job" + place
        self._extra.append(Problem(where, problem.detail, problem.code))

    # The objective

    def _judge_objective(self, first: JobRecord) -> Objective:
        asked = self._spec.objective
        if isinstance(first.spec, ProgramJobSpec):
            return self._judge_free_objective(asked)
        names = first.data_task.log_names
        monitor = _default_monitor(first) if asked.monitor == "auto" else asked.monitor
        if monitor not in names:
            detail = f'received "{monitor}": the runs do not log it.{nearest(monitor, names)} They log'
            self._found.problem(("objective", "monitor"), f"{detail} {list_names(names)}", "unknown_monitor")
            return asked
        mode = better_mode(monitor)
        if asked.mode not in {"auto", mode}:
            detail = f'received "{asked.mode}"; {monitor} improves in the other direction: "{mode}"'
            self._found.problem(("objective", "mode"), detail, "wrong_mode")
        for name, value, record in self._records:
            if monitor not in record.data_task.log_names:
                self._problem(
                    name, f"with {json.dumps(value)} the runs do not log {monitor}, the objective", "unknown_monitor"
                )
        return Objective(monitor=monitor, mode=mode)

    def _judge_free_objective(self, asked: Objective) -> Objective:
        if asked.monitor == "auto":
            detail = "missing; expected the name of a metric of the script, such as val_loss"
            self._found.problem(("objective", "monitor"), detail, "missing")
            return asked
        if asked.mode != "auto":
            return asked
        try:
            return asked.model_copy(update={"mode": better_mode(asked.monitor)})
        except ValueError:
            detail = f'missing; the direction of "{asked.monitor}" is not known: expected "min" or "max"'
            self._found.problem(("objective", "mode"), detail, "missing")
            return asked


def _uploads_of(record: JobRecord) -> list[str]:
    spec, weights = record.spec, weights_of(record.spec)
    program = [f"program {spec.program.id}"] if isinstance(spec, ProgramJobSpec) else []
    return [*program, *(f"dataset {one}" for one in spec.dataset_ids), *([f"weights {weights}"] if weights else [])]


def _default_monitor(record: JobRecord) -> str:
    callbacks = record.data_spec.callbacks
    rule = callbacks.early_stopping or callbacks.model_checkpoint
    return rule.monitor if rule else auto_monitor(record.data_task.log_names)


def _why_unusable(parameter: Parameter) -> str | None:
    """Why no sampler can sample from a range, whose ends are in order; None if one can."""
    low, high = bounds(parameter)
    if isinstance(parameter, IntSpec):
        is_exact = max(abs(low), abs(high)) <= MOST_EXACT
        return None if is_exact else f"expected whole numbers from {-MOST_EXACT} to {MOST_EXACT}"
    is_wide = not math.isfinite(high / low if isinstance(parameter, LogSpec) else high - low)
    return f"received [{low}, {high}]; the ends are too far apart" if is_wide else None


def _is_inside(place: str, name: str) -> bool:
    parts, own = parts_of(place), parts_of(name)
    return parts[: len(own)] == own


def _can_have(parameter: Parameter, value: Any) -> bool:
    if isinstance(parameter, ChoiceSpec):
        return place_of(value, parameter.choice) is not None
    low, high = bounds(parameter)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and low <= value <= high


def _requirements(space: Mapping[str, Parameter], name: str) -> dict[str, Any] | None:
    """A value for each parameter that must have one for `name` to be active; None if there are no such values."""
    wanted: dict[str, list[Any]] = {}
    pending, done = [name], set[str]()
    while pending:
        one = pending.pop()
        if one in done or one not in space:
            continue
        done.add(one)
        for other, condition in (space[one].when or {}).items():
            values = allowed(condition)
            wanted[other] = [value for value in wanted.get(other, values) if value in values]
            pending.append(other)
    if name in wanted or any(not values for values in wanted.values()):
        return None
    return {other: values[0] for other, values in wanted.items()}
