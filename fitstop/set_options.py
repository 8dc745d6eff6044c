"""`--set a.b=c`: single values of a job's spec on the command line."""

import json
from copy import deepcopy
from typing import Any

Json = dict[str, Any]


def parse_assignment(text: str) -> tuple[list[str], Any]:
    """The path and the value of `a.b=c`. The value is parsed as JSON; if it is not JSON, it is text.

    `hyperparameters.epochs=5` gives a number, `name="5"` the text 5, and `callbacks.early_stopping=null` no early
    stopping. Raises ValueError for anything that is not an assignment, and for JSON in which a key appears twice.
    """
    path, equals, value = text.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise ValueError(f'"{text}" is not an assignment; expected NAME.NAME=VALUE, such as hyperparameters.epochs=50')
    return keys, _value(value)


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_without_doubles)
    except _KeyTwice as error:
        raise ValueError(f'the key "{error}" appears twice in {text}') from None
    except ValueError:
        return text


class _KeyTwice(Exception):
    """A JSON object has the same key twice."""


def _without_doubles(pairs: list[tuple[str, Any]]) -> Json:
    found: Json = {}
    for key, value in pairs:
        if key in found:
            raise _KeyTwice(key)
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    # NaN and Infinity are not JSON. Python's parser accepts them, but the service would refuse the whole request.
    raise ValueError(name)


def assign(spec: Json, assignments: list[str]) -> Json:
    """A copy of `spec` with every assignment applied, in order. Missing objects on a path are created.

    Raises ValueError if a path leads through a value that is not an object.
    """
    result = deepcopy(spec)
    for text in assignments:
        keys, value = parse_assignment(text)
        _assign(result, keys, value, text)
    return result


def _assign(spec: Json, keys: list[str], value: Any, text: str) -> None:
    place = spec
    for depth, key in enumerate(keys[:-1], start=1):
        inner = place.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ValueError(f'"{text}": {".".join(keys[:depth])} is {json.dumps(inner)}, not an object')
        place = inner
    place[keys[-1]] = value
