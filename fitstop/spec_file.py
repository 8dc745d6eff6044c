"""Reads a job's spec from a JSON or YAML 1.2 file, strictly: a key that appears twice is an error.

Uses ruamel.yaml, because PyYAML reads YAML 1.1, in which `1e-3` is text and `no` is false.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

Json = dict[str, Any]

_TAG = "tag:yaml.org,2002:"
_YAML_NAMES = (".yaml", ".yml")
# YAML types that become text in JSON.
_TEXTS = frozenset({f"{_TAG}str", f"{_TAG}timestamp", f"{_TAG}value"})
_SCALARS = frozenset({f"{_TAG}{kind}" for kind in ("null", "bool", "int", "float")})
# Maximum values, because a short file can repeat its parts by aliases until memory runs out.
_MOST_VALUES = 200_000


def read_spec(content: bytes, name: str) -> Json:
    """The object in a file. The file is YAML if its name says so, or if it does not begin like JSON.

    Raises ValueError, with the file's name and the line or the field of each problem.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: byte {error.start} is not UTF-8") from None
    problems: list[str] = []
    is_yaml = name.lower().endswith(_YAML_NAMES) or not (name.lower().endswith(".json") or _looks_like_json(text))
    try:
        spec = _read_yaml(text, problems) if is_yaml else _read_json(text, problems)
    except RecursionError:
        raise ValueError(f"{name}: is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if problems:
        raise ValueError("\n".join(f"{name}: {one}" for one in problems))
    if not isinstance(spec, dict):
        raise ValueError(f"{name}: the spec is {_describe(spec)}, expected an object with names and values")
    return spec


def _looks_like_json(text: str) -> bool:
    return text.lstrip()[:1] in {"{", "["}


def _describe(value: Any) -> str:
    return "empty" if value is None else "a list" if isinstance(value, list) else f"the value {json.dumps(value)}"


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as pairs, including keys that appear twice."""


def _read_json(text: str, problems: list[str]) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number of JSON")

    try:
        found = json.loads(text, object_pairs_hook=_Pairs, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    return _plain(found, "", problems)


def _plain(value: Any, place: str, problems: list[str]) -> Any:
    if isinstance(value, _Pairs):
        result: Json = {}
        for key, one in value:
            if key in result:
                problems.append(_at(place, f"the key {json.dumps(key)} appears twice"))
            result[key] = _plain(one, _below(place, key), problems)
        return result
    if isinstance(value, list):
        return [_plain(one, _below(place, number), problems) for number, one in enumerate(value)]
    return value


def _below(place: str, key: str | int) -> str:
    return f"{place}.{key}" if place else str(key)


def _at(place: str, problem: str) -> str:
    return f"{place}: {problem}" if place else problem


def _read_yaml(text: str, problems: list[str]) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
        return None if root is None else _Composed(yaml.constructor, problems).value(root, "")
    except YAMLError as error:
        raise ValueError(_words_of(error)) from None


def _words_of(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    words = [getattr(error, "context", None), getattr(error, "problem", None)]
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + (", ".join(word for word in words if word) or str(error).partition("\n")[0])


class _Composed:
    """Converts YAML nodes to JSON values. What JSON does not have is added to `problems`, with its line and field."""

    def __init__(self, constructor: Any, problems: list[str]) -> None:
        self._constructor = constructor
        self._problems = problems
        self._open: set[int] = set()
        self._count = 0

    def value(self, node: Any, place: str) -> Any:
        """Convert a node. Raises ValueError if aliases expand a file to more values than a spec can have."""
        self._count += 1
        if self._count > _MOST_VALUES:
            raise ValueError(f"has more than {_MOST_VALUES} values")
        if id(node) in self._open:
            return self._refuse(node, place, "contains itself")
        self._open.add(id(node))
        try:
            return self._value(node, place)
        finally:
            self._open.remove(id(node))

    def _value(self, node: Any, place: str) -> Any:
        tag = str(node.tag)
        if tag == f"{_TAG}map":
            return self._object(node, place)
        if tag == f"{_TAG}seq":
            return [self.value(one, _below(place, number)) for number, one in enumerate(node.value)]
        if tag in _TEXTS:
            return str(node.value)
        if tag not in _SCALARS:
            return self._refuse(node, place, f"{tag.replace(_TAG, '!!')} is not allowed in a spec")
        value = self._constructor.construct_object(node)
        if isinstance(value, float) and not math.isfinite(value):
            return self._refuse(node, place, f"{node.value} is not a number of JSON")
        return value

    def _object(self, node: Any, place: str) -> Json:
        own: Json = {}
        merged: Json = {}
        for key_node, node_of_value in node.value:
            if str(key_node.tag) == f"{_TAG}merge":
                for one in self._merge_sources(node_of_value):
                    merged = {**self._as_object(one, place), **merged}
                continue
            key = self._key(key_node, place)
            if key in own:
                self._refuse(key_node, place, f"the key {json.dumps(key)} appears twice")
            own[key] = self.value(node_of_value, _below(place, key))
        return {**merged, **own}

    def _merge_sources(self, node: Any) -> Iterator[Any]:
        yield from node.value if str(node.tag) == f"{_TAG}seq" else [node]

    def _as_object(self, node: Any, place: str) -> Json:
        value = self.value(node, place)
        if isinstance(value, dict):
            return value
        self._refuse(node, place, "<< expects an object")
        return {}

    def _key(self, node: Any, place: str) -> str:
        """A key as text. A whole number, such as a class, is accepted as its text."""
        if str(node.tag) in {*_TEXTS, f"{_TAG}int"}:
            return str(node.value)
        self._refuse(node, place, "a key is not text; put it in quotes")
        return ""

    def _refuse(self, node: Any, place: str, what: str) -> None:
        self._problems.append(f"line {node.start_mark.line + 1}: {_at(place, what)}")
