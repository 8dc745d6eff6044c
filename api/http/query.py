"""The strict query of a request: unknown or repeated parameters and invalid values are reported together."""

from collections.abc import Callable
from string import ascii_uppercase
from types import TracebackType
from typing import Self, TypeVar

from flask import request

from shared.problems import Problem, Refused, at_most_shown, list_names, nearest, pointer

_Value = TypeVar("_Value")
_Default = TypeVar("_Default")
_MOST_DIGITS = 18


class Query:
    """A reader of parameters, for a `with` block. The end of the block raises Refused with all problems."""

    def __init__(self, *known: str, family: str | None = None) -> None:
        """Allow the parameters `known`, and those of one `family`: `metadata.NAME` allows every `metadata.…`."""
        prefix = family and family.rstrip(ascii_uppercase)
        others = [name for name in request.args if name not in known and not (prefix and name.startswith(prefix))]
        self._problems = [_unknown(name, (*known, family) if family else known) for name in others]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._problems:
            raise Refused(at_most_shown(self._problems))

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""

        def parse(text: str) -> int:
            if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS and low <= int(text) <= high):
                raise ValueError(f"a whole number from {low} to {high}")
            return int(text)

        return self.parse(name, parse, default)

    def flag(self, name: str) -> bool:
        """`true` or `false`; false if it is not given."""

        def parse(text: str) -> bool:
            if text not in {"true", "false"}:
                raise ValueError("true or false")
            return text == "true"

        return self.parse(name, parse, default=False)

    def parse(self, name: str, parse: Callable[[str], _Value], default: _Value) -> _Value:
        """The parsed value, or `default` if it is not given. A ValueError of `parse` says what it expects."""
        values = request.args.getlist(name)
        if len(values) > 1:
            self._refuse(name, "given more than once", "duplicate")
        if len(values) != 1:
            return default
        return self._attempt(name, parse, values[0], default)

    def parse_all(self, name: str, parse: Callable[[str], _Value]) -> list[_Value]:
        """The parsed values of a parameter that may be repeated. A ValueError of `parse` says what it expects."""
        found = [self._attempt(name, parse, value, None) for value in request.args.getlist(name)]
        return [value for value in found if value is not None]

    def choices(self, name: str, allowed: frozenset[str]) -> frozenset[str]:
        """All values of a parameter that may be repeated; empty if it is not given."""
        values = request.args.getlist(name)
        for value in values:
            if value not in allowed:
                self._refuse(
                    name, f"received {_cut(value)}, expected one of {list_names(sorted(allowed))}", "unknown_value"
                )
        return frozenset(values)

    def family(self, prefix: str) -> tuple[tuple[str, str], ...]:
        """The parameters that begin with `prefix`: the rest of each name, and the value."""
        names = [name for name in request.args if name.startswith(prefix)]
        return tuple((name.removeprefix(prefix), self.parse(name, str, "")) for name in names)

    def _attempt(self, name: str, parse: Callable[[str], _Value], value: str, default: _Default) -> _Value | _Default:
        try:
            return parse(value)
        except ValueError as error:
            self._refuse(name, f"received {_cut(value)}, expected {error}", "invalid")
            return default

    def _refuse(self, name: str, detail: str, code: str) -> None:
        self._problems.append(Problem(pointer("query", name), detail, code))


def no_query() -> None:
    """Refuse every parameter."""
    with Query():
        pass


def _unknown(name: str, known: tuple[str, ...]) -> Problem:
    detail = f"unknown parameter.{nearest(name, known)} Known here: {list_names(known) or 'none'}"
    return Problem(pointer("query", name[:60]), detail, "unknown_parameter")


def _cut(value: str) -> str:
    return f'"{value}"' if len(value) <= 60 else f'"{value[:60]}…"'
