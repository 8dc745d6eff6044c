"""What is wrong with something that came from outside.

    FitstopError            everything that Fitstop itself raises
    ├── Refused             what came cannot be taken; carries every problem at once
    ├── NotFound            there is nothing of that name
    └── Conflict            it is there, and its state forbids this

A problem names the place by a JSON pointer (RFC 6901, in the fragment form of RFC 9457), what came, what was
expected, and how to mend it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, at one place."""

    pointer: str
    detail: str
    code: str


class FitstopError(Exception):
    """The root of Fitstop's own errors; `code` is a word that a program can rely on."""

    code = "error"


class Refused(FitstopError):
    """What came cannot be taken. `problems` holds every reason, never only the first."""

    code = "refused"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{problem.pointer}: {problem.detail}" for problem in self.problems))


class NotFound(FitstopError):
    """There is nothing of that name."""

    code = "not_found"


class Conflict(FitstopError):
    """It is there, and its state forbids what was asked."""

    code = "conflict"


def pointer(*parts: str | int) -> str:
    """The JSON pointer to a place, as a URI fragment: `pointer("model", "layers", 1)` is `#/model/layers/1`."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def nearest(name: str, known: Sequence[str]) -> str:
    """` Did you mean "epochs"?` where one of `known` is near, else an empty text."""
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return f' Did you mean "{close[0]}"?' if close else ""


def listed(names: Sequence[str], most: int = 40) -> str:
    """`names` in a row for a person, cut where the row grows too long."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
