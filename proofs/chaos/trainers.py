"""Moments with two live trainers of one job, from the watcher's lines.

A trainer that was frozen and meanwhile superseded continues for a batch after its thaw, until it checks. This is
distinguished from two trainers that train side by side.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

# One batch and the check after it, on a machine that is as busy as this one.
GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Life:
    """A period in which one process of an attempt could train; `thawed`: whether it began with a thaw."""

    attempt: int
    pid: int
    begin: float
    end: float
    thawed: bool


@dataclass(frozen=True)
class Overlap:
    """Two live trainers of one job at once, for `seconds` from `at` on."""

    job: str
    older: int
    newer: int
    at: float
    seconds: float
    thawed: bool

    @property
    def is_excused(self) -> bool:
        return self.thawed and self.seconds <= GRACE_SECONDS


def lives(lines: list[dict[str, Any]], until: float) -> dict[str, list[Life]]:
    """The periods of each job, from lines of the kind "trainer"."""
    found: dict[str, list[Life]] = defaultdict(list)
    running: dict[int, tuple[float, dict[str, Any], bool]] = {}
    was_stopped: set[int] = set()
    for line in lines:
        pid, state = line["pid"], line["state"]
        if state == "runs":
            running.setdefault(pid, (line["t"], line, pid in was_stopped))
            continue
        begun = running.pop(pid, None)
        if begun is not None:
            found[line["job"]].append(Life(line["attempt"], pid, begun[0], line["t"], begun[2]))
        if state == "stopped":
            was_stopped.add(pid)
        else:
            was_stopped.discard(pid)
    for pid, (begin, line, thawed) in running.items():
        found[line["job"]].append(Life(line["attempt"], pid, begin, until, thawed))
    return found


def overlaps(lives_of: dict[str, list[Life]]) -> list[Overlap]:
    """Every moment with two live trainers."""
    found = []
    for job, stretches in lives_of.items():
        ordered = sorted(stretches, key=lambda life: (life.attempt, life.begin))
        for place, older in enumerate(ordered):
            for newer in ordered[place + 1 :]:
                begin, end = max(older.begin, newer.begin), min(older.end, newer.end)
                if newer.pid != older.pid and end > begin:
                    found.append(Overlap(job, older.attempt, newer.attempt, begin, end - begin, older.thawed))
    return found
