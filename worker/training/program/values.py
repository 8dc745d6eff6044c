"""Encodes a callback's attributes as JSON values and arrays, which a resume point can save, and decodes them."""

import math
from typing import Any

import numpy as np

Arrays = list[Any]


class NotPlain(Exception):
    """A value that is not exactly a number, text, array, or a list, tuple, set or dict of these."""


def encode(value: Any, arrays: Arrays) -> Any:
    """`value` as a JSON value; its arrays are appended to `arrays`. Raises NotPlain."""
    kind = type(value)
    if value is None or kind in {bool, str, int}:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        arrays.append(np.array(value))
        return {"array": len(arrays) - 1, "is_number": isinstance(value, np.generic)}
    if kind in _LISTS.values():
        return {kind.__name__: [encode(one, arrays) for one in value]}
    if kind is dict:
        return {"dict": [[encode(name, arrays), encode(one, arrays)] for name, one in value.items()]}
    raise NotPlain(kind.__name__)


def decode(value: Any, arrays: Arrays) -> Any:
    """Return what was given to `encode`. Raises KeyError, TypeError or IndexError if `encode` did not make `value`."""
    if not isinstance(value, dict):
        return value
    if "array" in value:
        array = np.array(arrays[value["array"]])
        return array[()] if value["is_number"] else array
    ((kind, inner),) = value.items()
    if kind == "float":
        return float(inner)
    if kind == "dict":
        return {decode(name, arrays): decode(one, arrays) for name, one in inner}
    return _LISTS[kind](decode(one, arrays) for one in inner)


_LISTS = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
