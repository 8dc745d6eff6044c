"""A model made from a document without its wrong parts, so that the rest can be checked."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from shared.findings import Faults, Place
from shared.problems import MOST_PROBLEMS, Problem
from shared.validation import found_problems, meant_field, one_if_large, schema_of

_Model = TypeVar("_Model", bound=BaseModel)
# Removing a value can make another one incomplete, so each round removes more.
_MOST_ROUNDS = 6
# A document with more problems is not checked further: its list of problems is full.
_MOST_LEFT_OUT = 1000


@dataclass(frozen=True)
class Draft(Generic[_Model]):
    """The readable part of a document; None if no part is readable. `faults` holds the problems."""

    value: _Model | None
    faults: Faults = field(default_factory=Faults)


def make_draft(model: type[_Model], document: Any, stand_in: Mapping[str, Any]) -> Draft[_Model]:
    """Read `document` as a `model`, with defaults in place of wrong values, and values of `stand_in` for required ones.

    `faults` lists what was wrong, and the places whose values are not reliable.
    """
    return _Drafting(model, document, stand_in).draft()


class _Drafting(Generic[_Model]):
    def __init__(self, model: type[_Model], document: Any, stand_in: Mapping[str, Any]) -> None:
        self._model = model
        self._schema = schema_of(model)
        self._document = document
        self._stand_in = stand_in
        self._problems: dict[Place, Problem] = {}
        self._places: set[Place] = set()
        self._items: dict[Place, list[int]] = {}

    def draft(self) -> Draft[_Model]:
        with one_if_large(json.dumps(self._document)):
            return self._draft()

    def _draft(self) -> Draft[_Model]:
        left = self._document
        for _ in range(_MOST_ROUNDS):
            try:
                return Draft(self._model.model_validate_json(json.dumps(left)), self._faults())
            except ValidationError as error:
                found = found_problems(error, left, self._schema)
            if left is self._document:
                self._problems, left = found, json.loads(json.dumps(left))
                self._places.update(self._meant(found))
            if not isinstance(left, dict) or len(found) > _MOST_LEFT_OUT:
                break
            self._leave_out(left, found)
        return Draft(None, self._faults())

    def _faults(self) -> Faults:
        return Faults(tuple(self._problems.values()), frozenset(self._places), self._items)

    def _meant(self, found: dict[Place, Problem]) -> set[Place]:
        """The places of the fields that unknown fields may have meant."""
        unknown = [place for place, problem in found.items() if problem.code == "unknown_field"]
        meant = (meant_field(place, self._schema, self._document) for place in unknown[:MOST_PROBLEMS])
        return {place for place in meant if place}

    def _leave_out(self, left: dict[str, Any], found: Mapping[Place, Problem]) -> None:
        """Remove the wrong values; items of a list from its end, so that the other places stay valid."""
        for place in sorted(found, key=_last_items_first, reverse=True):
            if found[place].code == "missing":
                self._fill_in(left, place)
            elif place:
                self._remove(left, place)
            else:
                left.clear()

    def _remove(self, left: dict[str, Any], place: Place) -> None:
        above: Any = left
        for part in place[:-1]:
            if isinstance(above, dict) and part not in above:
                return  # removed already, with a whole object that another wrong value was in
            above = above[part]
        if isinstance(above, list):
            indices = self._items.setdefault(place[:-1], list(range(len(above))))
            del indices[int(place[-1])]
        first = self._problems.get(place)
        if first is None or first.code != "unknown_field":
            self._places.add(place)
        del above[place[-1]]

    def _fill_in(self, left: dict[str, Any], place: Place) -> None:
        """Insert the stand-in for a missing required value. Without one, remove the object that requires it."""
        self._places.add(place)
        above: Any = left
        standing: Any = self._stand_in
        for part in place[:-1]:
            above = above[part]
            standing = standing.get(part, {}) if isinstance(standing, dict) else {}
        if isinstance(standing, dict) and place[-1] in standing:
            above[place[-1]] = copy.deepcopy(standing[place[-1]])
        elif len(place) > 1:
            self._remove(left, place[:-1])


def _last_items_first(place: Place) -> tuple[tuple[bool, int, str], ...]:
    return tuple((isinstance(part, int), part if isinstance(part, int) else 0, str(part)) for part in place)
