"""The problems of a spec: one answer lists all of them, and no false ones.

A part of the spec may be unreadable or name something missing. Everything that does not depend on that part is checked;
the rest is not, since it may be correct once the part is.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from shared.problems import Problem, Refused, at_most_shown, close_names, pointer

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Faults:
    """Errors in the structure of a document whose readable part became a spec.

    `places` were left out of the spec, or are fields that an unknown field may have meant. `items` gives, for each
    shortened list, the index in the document of each remaining item.
    """

    problems: tuple[Problem, ...] = ()
    places: frozenset[Place] = frozenset()
    items: Mapping[Place, Sequence[int]] = field(default_factory=dict)


NO_FAULTS = Faults()


class Findings:
    """The problems and warnings found so far, and the uncertain fields."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._doubtful = set(faults.places)
        self._problems = list(faults.problems)
        self.warnings: list[str] = []

    def problem(self, place: Place, detail: str, code: str) -> None:
        self._problems.append(Problem(pointer(*self._in_document(place)), detail, code))

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def doubt(self, *paths: str) -> None:
        """Mark these fields as uncertain."""
        self._doubtful.update(tuple(path.split("/")) for path in paths)

    def is_sure(self, *paths: str) -> bool:
        """Whether all of these fields, such as `dataset/target`, say what the client means."""
        places = [tuple(path.split("/")) for path in paths]
        return not any(_overlap(place, wrong) for place in places for wrong in self._doubtful)

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self._problems)

    def stop_at_problems(self) -> None:
        """Raise Refused with every problem, or with the first ones and the total number, if there are any."""
        if self._problems:
            raise Refused(at_most_shown(self._problems))

    def _in_document(self, place: Place) -> Place:
        for above, indices in self._faults.items.items():
            if len(place) > len(above) and place[: len(above)] == above:
                at = place[len(above)]
                return (*above, indices[at] if isinstance(at, int) else at, *place[len(above) + 1 :])
        return place


def could_mean(names: Collection[str], known: Sequence[str]) -> set[str]:
    """The fields of `known` that a misspelt one of `names` could mean; all of them if a name resembles none."""
    meant: set[str] = set()
    for name in names:
        close = close_names(name, known, most=3)
        if not close:
            return set(known)
        meant.update(close)
    return meant


def _overlap(one: Place, other: Place) -> bool:
    """Whether the places are equal, or one contains the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
