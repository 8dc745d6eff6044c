"""The turns of projects: within a project jobs are in the order of their priority, and the projects take turns.

turns/<number>.<project>   one empty file for each job that a worker claimed; the newest are kept

Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996) over the last turns: a turn costs a project 1 / weight,
the project with the smallest start is next, and a project without jobs earns nothing in the meantime. So a project
whose first job joins a long queue is next as soon as a worker is free. A lost or wrong file only shifts a turn.
"""

import heapq
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import lcm
from pathlib import Path
from typing import TypeVar

from shared.durable import add_name, remove_name
from shared.project import MOST_WEIGHT, weight_of

# Enough for any two weights.
_MOST_KEPT = 5 * MOST_WEIGHT

_Item = TypeVar("_Item")
# The start of a turn, and the project. The smallest is next.
_Tag = tuple[int, str]

log = logging.getLogger(__name__)


class Turns:
    """The order of projects after the turns in `past` (oldest first), with these weights. The default weight is 1."""

    def __init__(self, past: Sequence[str], weights: Mapping[str, int]) -> None:
        # Whole numbers, so that every process computes the same order.
        self._unit = lcm(*weights.values())
        self._weights = weights
        self._now = 0
        self._ends: dict[str, int] = {}
        for project in past:
            self._now = self._start(project)
            self._ends[project] = self._now + self._step(project)

    def merge(self, queues: Mapping[str, Iterable[_Item]]) -> Iterator[_Item]:
        """Merge the queues of all projects into one order. Each queue is read only as far as needed."""
        tagged = [self._tagged(project, queue) for project, queue in queues.items()]
        return (item for _, item in heapq.merge(*tagged, key=lambda one: one[0]))

    def place(self, project: str, ahead: int, waiting: Mapping[str, int]) -> int:
        """The place in that order, from 1, of a project's item that has `ahead` items before it in its own queue.

        `waiting` is the number of items of each project.
        """
        own = self._tag(project, ahead)
        return 1 + ahead + sum(self._count_before(own, other, n) for other, n in waiting.items() if other != project)

    def _count_before(self, tag: _Tag, project: str, count: int) -> int:
        """The number of the project's first `count` items that have a smaller tag."""
        left = tag[0] - self._start(project)
        whole, rest = divmod(left, self._step(project))
        is_before_in_a_tie = rest == 0 and project < tag[1]
        return min(count, max(0, whole + bool(rest or is_before_in_a_tie)))

    def _tagged(self, project: str, queue: Iterable[_Item]) -> Iterator[tuple[_Tag, _Item]]:
        return ((self._tag(project, ahead), item) for ahead, item in enumerate(queue))

    def _tag(self, project: str, ahead: int) -> _Tag:
        return self._start(project) + ahead * self._step(project), project

    def _start(self, project: str) -> int:
        return max(self._now, self._ends.get(project, 0))

    def _step(self, project: str) -> int:
        return self._unit // weight_of(self._weights, project)


def read_turns(folder: Path) -> list[str]:
    """The projects of the last turns, oldest first; none if the folder does not exist."""
    try:
        return [project for _, project in _read(folder)]
    except FileNotFoundError:
        return []


def record_turn(folder: Path, project: str) -> None:
    """Record that a job of the project was claimed. Never raises OSError: a claimed job must begin."""
    try:
        taken = _read(folder)
        number = taken[-1][0] + 1 if taken else 1
        while not add_name(folder / f"{number}.{project}"):
            number += 1
        # Twice as many are kept before the oldest are removed, so that few claims remove files.
        if len(taken) > 2 * _MOST_KEPT:
            for old in taken[:-_MOST_KEPT]:
                remove_name(folder / f"{old[0]}.{old[1]}")
    except OSError as error:
        log.warning("a turn of project %s is not recorded: %s", project, error)


def _read(folder: Path) -> list[tuple[int, str]]:
    names = (entry.name.partition(".") for entry in os.scandir(folder))
    return sorted((int(number), project) for number, _, project in names if number.isdecimal() and project)
