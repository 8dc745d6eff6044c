"""The space of a sweep: which parameters a trial has, and the job's spec with their values in it."""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from shared.sweep.spec import MOST_TRIALS, ChoiceSpec, IntSpec, Parameter, SweepSpec, UniformSpec

Space = Mapping[str, Parameter]
Parameters = Mapping[str, Any]


class NoSuchPlace(ValueError):
    """A pointer leads to a place that cannot exist. `pointer` is set if a whole trial is made."""

    pointer = ""


def parts_of(pointer: str) -> list[str]:
    """The parts of a JSON pointer (RFC 6901)."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def put(document: dict[str, Any], pointer: str, value: Any) -> None:
    """Put a value at a place of a document, and create missing objects on the path. Raises NoSuchPlace."""
    *above, last = parts_of(pointer)
    here: Any = document
    for part in above:
        here = _below(here, part)
    if isinstance(here, list):
        here[_index(here, last)] = copy.deepcopy(value)
    elif isinstance(here, dict):
        here[last] = copy.deepcopy(value)
    else:
        raise NoSuchPlace(f'"{last}" is inside a value that is null or has no fields')


def _below(here: Any, part: str) -> Any:
    if isinstance(here, list):
        return here[_index(here, part)]
    if not isinstance(here, dict):
        raise NoSuchPlace(f'"{part}" is inside a value that is null or has no fields')
    if here.get(part) is None:
        here[part] = {}
    return here[part]


def _index(values: Sequence[Any], part: str) -> int:
    if not re.fullmatch("0|[1-9][0-9]{0,8}", part) or int(part) >= len(values):
        raise NoSuchPlace(f'received "{part}" in a list of {len(values)}: expected 0 to {len(values) - 1}')
    return int(part)


def trial_document(spec: SweepSpec, parameters: Parameters) -> dict[str, Any]:
    """The spec of the job of a trial, as a client would post it. Raises NoSuchPlace.

    Shorter pointers are put first, so that a parameter may be inside the value of another one. A script gets its
    arguments and its environment as text, so a number becomes text there.
    """
    document = copy.deepcopy(spec.job)
    for pointer in sorted(parameters, key=lambda one: len(parts_of(one))):
        try:
            put(document, pointer, _as_text(parameters[pointer]) if _is_text(pointer) else parameters[pointer])
        except NoSuchPlace as error:
            error.pointer = pointer
            raise
    return document


def _is_text(pointer: str) -> bool:
    return pointer.startswith(("/program/arguments/", "/program/environment/"))


def _as_text(value: Any) -> Any:
    """A number as text, which a script reads back as the same number."""
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def allowed(condition: Any) -> list[Any]:
    """The values that a condition allows a parameter to have."""
    return list(condition) if isinstance(condition, list | tuple) else [condition]


def place_of(value: Any, values: Sequence[Any]) -> int | None:
    """The index of a value in `values`; None if it is not there. In Python true equals 1; here it does not."""
    is_truth = isinstance(value, bool)
    same = (place for place, one in enumerate(values) if one == value and isinstance(one, bool) == is_truth)
    return next(same, None)


def is_active(parameter: Parameter, chosen: Parameters) -> bool:
    """Whether a parameter's conditions hold under the values that were chosen so far."""
    conditions = (parameter.when or {}).items()
    return all(other in chosen and place_of(chosen[other], allowed(values)) is not None for other, values in conditions)


def in_order(space: Space) -> list[str]:
    """The pointers, each after those that its conditions name, and otherwise in the order of the spec.

    Those in a circle of conditions, or after one, are left out.
    """
    ordered: list[str] = []
    while True:
        ready = (name for name in space if name not in ordered and set(space[name].when or {}) <= set(ordered))
        found = next(ready, None)
        if found is None:
            return ordered
        ordered.append(found)


def ends(parameter: Parameter) -> tuple[Any, ...]:
    """The values of a parameter that represent all: every choice, or both ends of a range."""
    if isinstance(parameter, ChoiceSpec):
        return parameter.choice
    low, high = bounds(parameter)
    return (low, high) if low != high else (low,)


def bounds(parameter: Parameter) -> tuple[Any, Any]:
    """The lowest and the highest value of a range. Not for a choice."""
    assert not isinstance(parameter, ChoiceSpec)
    if isinstance(parameter, IntSpec):
        low, high = parameter.int
        return low, high if parameter.log else low + (high - low) // parameter.step * parameter.step
    return parameter.uniform if isinstance(parameter, UniformSpec) else parameter.log


def grid_values(parameter: Parameter) -> Sequence[Any] | None:
    """All values of a parameter; None if they cannot be listed."""
    if isinstance(parameter, ChoiceSpec):
        return parameter.choice
    if isinstance(parameter, IntSpec):
        low, high = bounds(parameter)
        return range(low, high + 1, parameter.step)
    return None


def grid(space: Space) -> Iterator[dict[str, Any]]:
    """Every combination of values, each once. All parameters must have `grid_values`."""
    return _combinations(space, in_order(space), {})


def _combinations(space: Space, names: Sequence[str], chosen: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not names:
        yield dict(chosen)
        return
    name, *rest = names
    values = grid_values(space[name]) if is_active(space[name], chosen) else None
    if values is None:
        yield from _combinations(space, rest, chosen)
        return
    for value in values:
        yield from _combinations(space, rest, {**chosen, name: value})


def grid_size(space: Space, most: int) -> int:
    """Number of combinations, counted up to `most`."""
    return sum(1 for _ in islice(grid(space), most))


def choose_first(space: Space, forced: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a trial: each active one with its forced value, or else its first one."""
    chosen: dict[str, Any] = {}
    for name in in_order(space):
        if is_active(space[name], chosen):
            chosen[name] = forced[name] if name in forced else ends(space[name])[0]
    return chosen


def numeric(space: Space) -> list[str]:
    """The ranges that every trial has."""
    return [name for name, one in space.items() if not isinstance(one, ChoiceSpec) and not one.when]


def count_trials(spec: SweepSpec) -> int:
    """The maximum number of trials: a grid may have fewer combinations than requested."""
    return min(spec.trials, grid_size(spec.space, MOST_TRIALS)) if spec.sampler == "grid" else spec.trials
