"""Problems of input from outside.

    FitstopError            everything that Fitstop itself raises
    ├── Refused             the input is refused; lists every problem
    ├── NotFound            nothing has that name
    └── Conflict            it exists, but its state forbids the request

A problem states the place as a JSON pointer (RFC 6901, in the fragment form of RFC 9457), what was received, what was
expected, and how to fix it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from heapq import nsmallest

# Maximum number of problems in one answer.
MOST_PROBLEMS = 50
# Comparing texts takes time, and a suggestion for a longer text, or from more candidates, helps nobody.
_MOST_CHARACTERS = 64
_MOST_CANDIDATES = 200


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, at one place."""

    pointer: str
    detail: str
    code: str


class FitstopError(Exception):
    """The root of Fitstop's own errors. `code` is a stable identifier for programs."""

    code = "error"


class Refused(FitstopError):
    """The input is refused. `problems` lists every reason."""

    code = "refused"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{problem.pointer}: {problem.detail}" for problem in self.problems))


class NotFound(FitstopError):
    """Nothing has that name."""

    code = "not_found"


class Conflict(FitstopError):
    """It exists, but its state forbids the request."""

    code = "conflict"


def pointer(*parts: str | int) -> str:
    """The JSON pointer to a place, as a URI fragment: `pointer("model", "layers", 1)` is `#/model/layers/1`."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def at_most_shown(problems: Sequence[Problem], more: int = 0) -> list[Problem]:
    """The first MOST_PROBLEMS problems; if there are more, a last one gives the number of the others.

    `more` is the number of problems that were counted but are not in `problems`.
    """
    hidden = len(problems) + more - MOST_PROBLEMS
    if hidden <= 0:
        return list(problems)
    return [*problems[:MOST_PROBLEMS], Problem(pointer(), f"{hidden} more problems are not listed", "more_problems")]


def nearest(name: str, known: Sequence[str]) -> str:
    """` Did you mean "epochs"?` if one of `known` is similar, else an empty text."""
    close = close_names(name, known)
    return did_you_mean(close[0]) if close else ""


def did_you_mean(name: str) -> str:
    return f' Did you mean "{name}"?'


def close_names(name: str, known: Sequence[str], most: int = 1) -> list[str]:
    """At most `most` of `known` that are similar to `name`, the closest first. The cost is bounded for any input."""
    if len(name) > _MOST_CHARACTERS:
        return []
    folded = name.casefold()
    same = [one for one in known if one.casefold() == folded]
    candidates = nsmallest(_MOST_CANDIDATES, known, key=lambda one: abs(len(one) - len(name)))
    by_folded = {one.casefold(): one for one in reversed(candidates)}
    close = get_close_matches(folded, list(by_folded), n=most, cutoff=0.6)
    return list(dict.fromkeys([*same, *(by_folded[one] for one in close)]))[:most]


def cut(text: str, most: int = _MOST_CHARACTERS) -> str:
    """`text` for a person, cut to `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def list_names(names: Sequence[str], most: int = 40) -> str:
    """`names` in one line for a person: at most `most` of them, each cut if it is long."""
    shown = ", ".join(cut(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
