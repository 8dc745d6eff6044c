"""Problems that a person can fix, from pydantic's errors: what was received and expected, at all places at once."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.aliases import FIELDS, WITHOUT_EQUIVALENT, meant_value, plain
from shared.findings import Place
from shared.problems import (
    MOST_PROBLEMS,
    Problem,
    Refused,
    at_most_shown,
    close_names,
    did_you_mean,
    list_names,
    nearest,
    pointer,
)

_MOST_SHOWN = 60
# One pointer for all problems that are not listed, since making thousands of them takes long.
_UNLISTED = pointer()
# Number of characters, or of bytes.
_LARGE = 16 * 1024
_ONE_LARGE = threading.Lock()
# Pydantic's mark of a problem with a name in an object whose names the client chooses.
_NAME = "[key]"
_Model = TypeVar("_Model", bound=BaseModel)


def validate(model: type[_Model], document: Any) -> _Model:
    """Validate `document`, a parsed JSON value, as a `model`. Raises Refused with every problem at once."""
    text = json.dumps(document)
    with one_if_large(text):
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            found = found_problems(error, document, schema_of(model))
    raise Refused(at_most_shown(list(found.values())))


def one_if_large(text: str | bytes) -> AbstractContextManager[object]:
    """A context in which this process parses and validates large documents one at a time.

    Both hold Python's lock for long, which blocks the event loop, and many thousands of problems take much memory.
    """
    return _ONE_LARGE if len(text) > _LARGE else nullcontext()


@cache
def schema_of(model: type[BaseModel]) -> Mapping[str, Any]:
    """The JSON schema of a model; cached, since it takes milliseconds to make and anybody may send a bad spec."""
    return model.model_json_schema()


def found_problems(error: ValidationError, document: Any, schema: Mapping[str, Any]) -> dict[Place, Problem]:
    """One problem for each place. A place is left out if there is a problem with a part of it."""
    found: dict[Place, Problem] = {}
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        place = _place(one["loc"], document, is_missing=one["type"] == "missing")
        # If a value may be a name or an object, the error of the object says more than "not a name".
        if place in found and (one["type"] != "value_error" or found[place].code == "invalid"):
            continue
        problem = _bad_name if one["loc"] and one["loc"][-1] == _NAME else _problem
        if len(found) < 2 * MOST_PROBLEMS:
            found[place] = problem(one["type"], one["msg"], place, document, schema)
        else:
            found[place] = Problem(_UNLISTED, "is not listed", one["type"])
    wholes = {place[:end] for place in found for end in range(len(place))}
    return {place: problem for place, problem in found.items() if place not in wholes}


def _place(location: Sequence[str | int], document: Any, *, is_missing: bool) -> Place:
    """The part of pydantic's location that exists in the document, without the names of union branches."""
    place: list[str | int] = []
    here = document
    for part in location:
        if not _holds(here, part):
            continue
        here = here[part]
        place.append(part)
    return (*place, location[-1]) if is_missing else tuple(place)


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _problem(kind: str, message: str, place: Place, document: Any, schema: Mapping[str, Any]) -> Problem:
    if kind == "extra_forbidden":
        return Problem(pointer(*place), _unknown_field(place, schema, document), "unknown_field")
    node = _schema_at(place, schema, document)
    expected = _expected(node, schema)
    if kind == "missing":
        return Problem(pointer(*place), f"missing; expected {expected}", "missing")
    value = _value_at(place, document)
    received = _show(value)
    if kind == "value_error":
        return Problem(pointer(*place), f"received {received}: {message.removeprefix('Value error, ')}", "invalid")
    near = _near_value(value, _choices(node, schema))
    return Problem(pointer(*place), f"received {received}, expected {expected}{'.' if near else ''}{near}", kind)


def _choices(node: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    branches = [_resolve(branch, schema) for branch in _branches(_resolve(node, schema))]
    values = [value for branch in branches for value in (*branch.get("enum", ()), branch.get("const"))]
    return [value for value in values if isinstance(value, str)]


def _near_value(value: Any, choices: list[str]) -> str:
    if not isinstance(value, str) or len(value) > _MOST_SHOWN:
        return ""
    meant = meant_value(value, choices)
    return did_you_mean(meant) if meant else nearest(value, choices)


def _bad_name(kind: str, message: str, place: Place, document: Any, schema: Mapping[str, Any]) -> Problem:
    received = f"received the name {_show(place[-1])}"
    if kind == "value_error":
        return Problem(pointer(*place), f"{received}: {message.removeprefix('Value error, ')}", "invalid")
    node = _resolve(_schema_at(place[:-1], schema, document), schema)
    names = {"type": "string", **node.get("propertyNames", {})}
    if "patternProperties" in node:
        names["pattern"] = next(iter(node["patternProperties"]))
    return Problem(pointer(*place), f"{received}, expected {_expected(names, schema)}", kind)


def _unknown_field(place: Place, schema: Mapping[str, Any], document: Any) -> str:
    known = _fields_at(place[:-1], schema, document)
    name = str(place[-1])
    meant = meant_field(place, schema, document)
    if meant is not None:
        *above, last = meant
        near = did_you_mean(last if tuple(above) == place[:-1] else ".".join(meant))
    else:
        reason = WITHOUT_EQUIVALENT.get(plain(name))
        near = f" {reason}" if reason else ""
    return f"unknown field.{near} Known here: {list_names(known)}"


def meant_field(place: Place, schema: Mapping[str, Any], document: Any) -> tuple[str, ...] | None:
    """The place of the field that the unknown field at `place` means, by its spelling or another library's name.

    A field of the same object is preferred to one elsewhere. None if no field is meant.
    """
    name, here = str(place[-1]), _fields_at(place[:-1], schema, document)
    aliased = FIELDS.get(plain(name), ())
    known_here = [path.rpartition(".")[2] for path in aliased]
    beside = next((one for one in known_here if one in here), None) or next(iter(close_names(name, here)), None)
    paths = list(_field_paths(schema, schema))
    alone = next((path for path in aliased if path in paths), None)
    if beside is not None and (alone is None or beside in known_here):
        return (*(str(part) for part in place[:-1]), beside)
    if plain(name) in WITHOUT_EQUIVALENT:
        return None
    by_name = {path.rpartition(".")[2]: path for path in reversed(paths)}
    elsewhere = alone or next((by_name[one] for one in close_names(name, list(by_name))), None)
    return tuple(elsewhere.split(".")) if elsewhere else None


def _fields_at(place: Place, schema: Mapping[str, Any], document: Any) -> list[str]:
    branches = _own_branches(_schema_at(place, schema, document), _value_at(place, document), schema)
    return [name for branch in branches for name in branch.get("properties", {})]


def _field_paths(node: Mapping[str, Any], schema: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for branch in _branches(_resolve(node, schema)):
        for name, below in _resolve(branch, schema).get("properties", {}).items():
            yield before + name
            yield from _field_paths(below, schema, f"{before}{name}.")


def _value_at(place: Place, document: Any) -> Any:
    for part in place:
        document = document[part]
    return document


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + "…"


def _schema_at(place: Place, schema: Mapping[str, Any], document: Any) -> Mapping[str, Any]:
    """The part of the JSON schema for `place` in the document; empty if there is none."""
    here: Mapping[str, Any] = schema
    for depth, part in enumerate(place):
        all_branches = [_resolve(branch, schema) for branch in _branches(_resolve(here, schema))]
        branches = all_branches if part == "kind" else _own_branches(here, _value_at(place[:depth], document), schema)
        found = [below for branch in branches if (below := _below(part, branch)) is not None]
        here = {"anyOf": found} if part == "kind" and len(found) > 1 else next(iter(found), {})
    return here


def _own_branches(node: Mapping[str, Any], value: Any, schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The branches of a union that apply to `value`: the one of its `kind`, or the first if it names none of them.

    If the required fields tell the branches apart (`oneOf`), the last branch whose fields `value` has. All branches if
    neither rule decides.
    """
    branches = [_resolve(branch, schema) for branch in _branches(_resolve(node, schema))]
    if "oneOf" in node and isinstance(value, dict):
        return [branch for branch in branches if set(branch.get("required", ())) <= set(value)][-1:] or branches
    kinds = [branch.get("properties", {}).get("kind", {}).get("const") for branch in branches]
    if len(branches) < 2 or None in kinds or not isinstance(value, dict):
        return branches
    kind = value.get("kind")
    return [branches[kinds.index(kind) if kind in kinds else 0]]


def _below(part: str | int, node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if isinstance(part, int):
        below = _items(node) or None
    else:
        others = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties"))
        below = node.get("properties", {}).get(part, others)
    return below if isinstance(below, dict) else None


def _items(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of each value of a list; for a list of fixed length, the schema of its first value."""
    items: Mapping[str, Any] = node.get("items") or next(iter(node.get("prefixItems", ())), {})
    return items


def _branches(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(node.get("anyOf") or node.get("oneOf") or [node])


def _resolve(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = node.get("$ref")
    return schema["$defs"][reference.rsplit("/", 1)[-1]] if reference else node


def _expected(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The schema of one place in words, such as `a whole number from 1 to 65536`."""
    words = [_expected_one(_resolve(branch, schema), schema) for branch in _branches(_resolve(node, schema))]
    return " or ".join(dict.fromkeys(words)) or "another value"


def _expected_one(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "enum" in node:
        return "one of " + list_names([json.dumps(value) for value in node["enum"]])
    if "const" in node:
        return json.dumps(node["const"])
    kind = str(node.get("type"))
    if kind == "array":
        return "a list" + _length(node, "Items", "values") + f", each {_expected(_items(node), schema)}"
    words = _WORDS.get(kind)
    return words(node) if words else "another value"


def _range(node: Mapping[str, Any]) -> str:
    low = f"from {node['minimum']:g}" if "minimum" in node else ""
    low = f"above {node['exclusiveMinimum']:g}" if "exclusiveMinimum" in node else low
    high = f"to {_plain(node['maximum'])}" if "maximum" in node else ""
    high = f"and below {node['exclusiveMaximum']:g}" if "exclusiveMaximum" in node else high
    return "".join(" " + part for part in (low, high) if part)


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _length(node: Mapping[str, Any], suffix: str, unit: str) -> str:
    low, high = node.get(f"min{suffix}"), node.get(f"max{suffix}")
    if low == high and low is not None:
        return f" of {low} {unit}"
    if low is not None and high is not None:
        return f" of {low} to {high} {unit}"
    if high is not None:
        return f" of at most {high} {unit}"
    return f" of at least {low} {unit}" if low is not None else ""


def _pattern(node: Mapping[str, Any]) -> str:
    return f" that matches {node['pattern']}" if "pattern" in node else ""


def _fields(node: Mapping[str, Any]) -> str:
    fields = f" with {list_names(list(node['properties']))}" if node.get("properties") else ""
    return fields + _length(node, "Properties", "fields")


_WORDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "integer": lambda node: "a whole number" + _range(node),
    "number": lambda node: "a number" + _range(node),
    "string": lambda node: "a text" + _length(node, "Length", "characters") + _pattern(node),
    "object": lambda node: "an object" + _fields(node),
    "boolean": lambda _: "true or false",
    "null": lambda _: "null",
}
