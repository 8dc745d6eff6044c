"""The strict JSON body of a request: anything that two parsers could read differently is refused.

400 for a body that is not JSON (RFC 8259), or has a name twice, a number too large for a double, or too many levels.
413 and 415 by size and media type. 422 for JSON that is not an object or contains a lone surrogate.
"""

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

from flask import request

from api.http.body import pieces
from api.http.problems import HttpProblem
from shared.problems import Problem, Refused, at_most_shown, pointer
from shared.validation import one_if_large

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_MOST_SHOWN = 60
# The lists of a spec have up to 4,096 columns. Each value may be wrong and get a problem of its own.
MOST_VALUES = 16_384
# The JSON of a Keras model may have tens of thousands.
_MOST_CONTAINERS = 65_536
# Maximum for a body with a few settings.
SMALL_BODY_BYTES = 16 * 1024
# Up to here a double holds every whole number.
_MOST_EXACT = 2**53


def read_object(most_bytes: int, most_depth: int, uncounted: tuple[str, ...] = ()) -> dict[str, Any]:
    """The request's body, a JSON object. Raises HttpProblem or Refused for everything else.

    The values below the path `uncounted` do not count toward the maximum of values.
    """
    if request.mimetype != "application/json":
        raise HttpProblem(415, "not_json", "send the body as Content-Type: application/json")
    content = b"".join(pieces(most_bytes))
    with one_if_large(content):
        return parse_object(content, most_depth, uncounted)


def parse_object(content: bytes, most_depth: int, uncounted: tuple[str, ...] = ()) -> dict[str, Any]:
    """`content` as a JSON object of at most `most_depth` levels. Raises HttpProblem or Refused."""
    text = _decode(content)
    bare = without_strings(text)
    if max(bare.count("[") + bare.count("{"), bare.count("]") + bare.count("}")) > _MOST_CONTAINERS:
        raise _bad_json(f"more than {_MOST_CONTAINERS} lists and objects")
    if depth(bare) > most_depth:
        raise _bad_json(f"more than {most_depth} levels deep")
    document = _parse(text)
    if not isinstance(document, dict):
        raise Refused([Problem("#", f"received {_kind(document)}, expected an object", "not_an_object")])
    if bare.count(",") >= MOST_VALUES and _count(document, uncounted) > MOST_VALUES:
        place, count = _largest(document)
        detail = f"received {count} values, expected fewer: a body has at most {MOST_VALUES}"
        raise Refused([Problem(pointer(*place), detail, "too_many_values")])
    # UTF-8 cannot encode a lone surrogate: only an escape can make one.
    broken = _find_lone_surrogates(document, ()) if "\\u" in text else []
    if broken:
        raise Refused(at_most_shown(broken))
    return document


def without_strings(text: str) -> str:
    """A JSON text without its strings, so that brackets and commas in them are not counted."""
    return _STRING.sub("", text)


def depth(bare: str) -> int:
    """The number of nested lists and objects in a JSON text without its strings, found without parsing it."""
    deepest = level = 0
    for character in re.findall(r"[\[\]{}]", bare):
        level += 1 if character in "[{" else -1
        deepest = max(deepest, level)
    return deepest


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad_json(f"not UTF-8 at byte {error.start}") from None


def _parse(text: str) -> Any:
    try:
        return json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, parse_int=_whole, object_pairs_hook=_unique
        )
    except json.JSONDecodeError as error:
        raise _bad_json(f"{error.msg} (line {error.lineno}, column {error.colno})") from None


def _no_constant(word: str) -> NoReturn:
    raise _bad_json(f"{word} is not a JSON number")


def _finite(digits: str) -> float | int:
    """A number with a fraction or an exponent. JSON Schema calls 5.0 an integer, so a whole one is an int."""
    number = float(digits)
    if math.isinf(number):
        raise _bad_json(f"the number {_cut(digits)} is too large")
    return int(number) if abs(number) <= _MOST_EXACT and number.is_integer() else number


def _whole(digits: str) -> int:
    # int() refuses more than 4300 digits. No setting takes a number of 400 digits.
    if len(digits) > 400:
        raise _bad_json(f"the number {_cut(digits)} is too large")
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise _bad_json(f"the name {_cut(json.dumps(twice))} appears twice in one object")
    return found


def _count(value: Any, uncounted: tuple[str, ...], place: tuple[str | int, ...] = ()) -> int:
    """The number of values in lists and objects, without those below the path `uncounted`."""
    if not isinstance(value, dict | list) or (place and place == uncounted):
        return 0
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return len(value) + sum(_count(one, uncounted, (*place, part)) for part, one in inner)


def _largest(value: Any, place: tuple[str | int, ...] = ()) -> tuple[tuple[str | int, ...], int]:
    """The place of the list or object with the most values, and their number."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    below = [_largest(one, (*place, part)) for part, one in inner if isinstance(one, dict | list)]
    return max([(place, len(value)), *below], key=lambda found: found[1])


def _find_lone_surrogates(value: Any, place: tuple[str | int, ...]) -> list[Problem]:
    """A problem for each text with a lone surrogate: half of a character, which UTF-8 cannot encode."""
    if isinstance(value, str):
        return [] if _is_whole(value) else [Problem(_show(place), "holds a lone surrogate", "lone_surrogate")]
    if isinstance(value, list):
        return [one for index, item in enumerate(value) for one in _find_lone_surrogates(item, (*place, index))]
    if isinstance(value, dict):
        names = [Problem(_show(place), "a name holds a lone surrogate", "lone_surrogate")]
        broken = [] if all(map(_is_whole, value)) else names
        return broken + [one for name, item in value.items() for one in _find_lone_surrogates(item, (*place, name))]
    return []


def _is_whole(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _show(place: tuple[str | int, ...]) -> str:
    return pointer(*place).encode("utf-8", "backslashreplace").decode()


def _kind(value: Any) -> str:
    words = {str: "a text", list: "a list", bool: "true or false", int: "a number", float: "a number"}
    return words.get(type(value), "null")


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"


def _bad_json(detail: str) -> HttpProblem:
    return HttpProblem(400, "bad_json", f"the body is not one JSON document: {detail}")
