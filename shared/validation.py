"""From pydantic's errors to problems that a person can mend: what came, what was expected, all places at once."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.problems import Problem, Refused, listed, nearest, pointer

_MOST_SHOWN = 60
# How pydantic marks a problem with a name of an object whose names are the client's own.
_NAME = "[key]"
_Model = TypeVar("_Model", bound=BaseModel)
_Place = tuple[str | int, ...]


def validated(model: type[_Model], document: Any) -> _Model:
    """`document`, a parsed JSON value, as a `model`. Raises Refused with every problem at once."""
    try:
        return model.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise Refused(_problems(error, document, _schema_of(model))) from None


@cache
def _schema_of(model: type[BaseModel]) -> Mapping[str, Any]:
    """Takes milliseconds to make, and anybody may send a bad spec."""
    return model.model_json_schema()


def _problems(error: ValidationError, document: Any, schema: Mapping[str, Any]) -> list[Problem]:
    """One problem for each place; where parts of a place are named, the place as a whole is not."""
    found: dict[_Place, Problem] = {}
    for one in error.errors(include_url=False, include_context=False):
        place = _place(one["loc"], document, is_missing=one["type"] == "missing")
        problem = _bad_name if one["loc"] and one["loc"][-1] == _NAME else _problem
        found.setdefault(place, problem(one["type"], one["msg"], place, document, schema))
    return [
        problem
        for place, problem in found.items()
        if not any(len(other) > len(place) and other[: len(place)] == place for other in found)
    ]


def _place(location: Sequence[str | int], document: Any, *, is_missing: bool) -> _Place:
    """The part of pydantic's location that exists in the document: the names of union branches fall out."""
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


def _problem(kind: str, message: str, place: _Place, document: Any, schema: Mapping[str, Any]) -> Problem:
    if kind == "extra_forbidden":
        return Problem(pointer(*place), _unknown_field(place, schema), "unknown_field")
    expected = _expected(_schema_at(place, schema), schema)
    if kind == "missing":
        return Problem(pointer(*place), f"missing; expected {expected}", "missing")
    received = _shown(_value_at(place, document))
    if kind == "value_error":
        return Problem(pointer(*place), f"received {received}: {message.removeprefix('Value error, ')}", "invalid")
    return Problem(pointer(*place), f"received {received}, expected {expected}", kind)


def _bad_name(kind: str, message: str, place: _Place, _: Any, schema: Mapping[str, Any]) -> Problem:
    received = f"received the name {_shown(place[-1])}"
    if kind == "value_error":
        return Problem(pointer(*place), f"{received}: {message.removeprefix('Value error, ')}", "invalid")
    names = _resolved(_schema_at(place[:-1], schema), schema).get("propertyNames", {})
    return Problem(pointer(*place), f"{received}, expected {_expected({'type': 'string', **names}, schema)}", kind)


def _unknown_field(place: _Place, schema: Mapping[str, Any]) -> str:
    branches = _branches(_resolved(_schema_at(place[:-1], schema), schema))
    known = [name for branch in branches for name in _resolved(branch, schema).get("properties", {})]
    name = str(place[-1])
    near = nearest(name, known) or _nearest_elsewhere(name, schema)
    return f"unknown field.{near} Known here: {listed(known)}"


def _nearest_elsewhere(name: str, schema: Mapping[str, Any]) -> str:
    """The full name of a field that stands in another place, such as `hyperparameters.epochs` for `epochs`."""
    places = {path.rpartition(".")[2]: path for path in _field_paths(schema, schema)}
    close = get_close_matches(name, list(places), n=1, cutoff=0.6)
    return f' Did you mean "{places[close[0]]}"?' if close else ""


def _field_paths(node: Mapping[str, Any], schema: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for branch in _branches(_resolved(node, schema)):
        for name, below in _resolved(branch, schema).get("properties", {}).items():
            yield before + name
            yield from _field_paths(below, schema, f"{before}{name}.")


def _value_at(place: _Place, document: Any) -> Any:
    for part in place:
        document = document[part]
    return document


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + "…"


def _schema_at(place: _Place, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of the JSON schema that speaks of `place`; empty where none does."""
    here: Mapping[str, Any] = schema
    for part in place:
        candidates = [_resolved(branch, schema) for branch in _branches(_resolved(here, schema))]
        here = next(
            (found for branch in candidates if (found := _below(part, branch)) is not None),
            {},
        )
    return here


def _below(part: str | int, node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if isinstance(part, int):
        below = node.get("items")
    else:
        below = node.get("properties", {}).get(part, node.get("additionalProperties"))
    return below if isinstance(below, dict) else None


def _branches(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(node.get("anyOf", [node]))


def _resolved(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = node.get("$ref")
    return schema["$defs"][reference.rsplit("/", 1)[-1]] if reference else node


def _expected(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The schema of one place in words, such as `a whole number from 1 to 65536`."""
    words = [_expected_one(_resolved(branch, schema), schema) for branch in _branches(_resolved(node, schema))]
    return " or ".join(dict.fromkeys(words)) or "another value"


def _expected_one(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "enum" in node:
        return "one of " + listed([json.dumps(value) for value in node["enum"]])
    if "const" in node:
        return json.dumps(node["const"])
    kind = str(node.get("type"))
    if kind == "array":
        return "a list" + _length(node, "Items", "values") + f", each {_expected(node.get('items', {}), schema)}"
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
    if low is not None and high is not None:
        return f" of {low} to {high} {unit}"
    if high is not None:
        return f" of at most {high} {unit}"
    return f" of at least {low} {unit}" if low is not None else ""


def _pattern(node: Mapping[str, Any]) -> str:
    return f" that matches {node['pattern']}" if "pattern" in node else ""


def _fields(node: Mapping[str, Any]) -> str:
    fields = f" with {listed(list(node['properties']))}" if node.get("properties") else ""
    return fields + _length(node, "Properties", "fields")


_WORDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "integer": lambda node: "a whole number" + _range(node),
    "number": lambda node: "a number" + _range(node),
    "string": lambda node: "a text" + _length(node, "Length", "characters") + _pattern(node),
    "object": lambda node: "an object" + _fields(node),
    "boolean": lambda _: "true or false",
    "null": lambda _: "null",
}
