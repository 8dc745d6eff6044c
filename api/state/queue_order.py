"""Where a queued job stands: the order of the markers in `open/` by turns, counting only jobs that wait."""

import os
import threading
import time
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from shared.job_folder import is_waiting
from shared.open_job import OpenJob
from shared.project import DEFAULT_PROJECT
from shared.turns import Turns, read_turns
from shared.volume import Volume

# Who has been taken meanwhile is looked up no more often than this; each look has a fiftieth of the time at most.
_FRESH_SECONDS = 0.5
_SHARE = 50


def queued_jobs(volume: Volume, weights: Mapping[str, int]) -> Iterator[OpenJob]:
    """The jobs that wait, in the order in which they are served: the workers' own (`shared.turns`)."""
    queues: dict[str, list[OpenJob]] = {}
    for marker in volume.open_jobs():
        if is_waiting(_folder(volume, marker.job_id)):
            queues.setdefault(marker.project, []).append(marker)
    return Turns(read_turns(volume.turns), weights).merge(queues)


@dataclass
class _Line:
    """One project's markers, sorted, and those of them of which no job waits."""

    markers: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def ahead(self, marker: str) -> int:
        return bisect_left(self.markers, marker) - bisect_left(self.taken, marker)

    def knows(self, marker: str) -> bool:
        place = bisect_left(self.markers, marker)
        return self.markers[place : place + 1] == [marker]


class QueuePlaces:
    """Places in a queue of any length, each for a look at what is known of it.

    A job that was just posted is seen at once. Who else was posted or cancelled is seen as soon as the folder of
    markers is looked at again, for at most a fiftieth of the time: in a short queue at once too. Who has been taken
    by a worker is seen after half a second, later where the queue is so long that looking takes longer.
    """

    def __init__(self, volume: Volume, weights: Mapping[str, int]) -> None:
        self._volume = volume
        self._weights = weights
        self._looking = threading.Lock()
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}
        self._turns = Turns([], weights)
        self._look_again = self._look_through_again = 0.0

    def of(self, *jobs: OpenJob) -> dict[str, int]:
        """The places of jobs that wait, by id: 1 for the one that is served next; none for one that has no marker."""
        self._look_if_due()
        with self._lock:
            return {job.job_id: self._place(job) for job in jobs if self._is_known(job)}

    def taken(self, project: str | None = None) -> list[str]:
        """The ids of the unfinished jobs of a project, None: of all, that do not wait: a worker has taken them."""
        self._look_if_due()
        with self._lock:
            lines = [line for name, line in self._lines.items() if project in {None, name}]
        return [marker.job_id for line in lines for name in line.taken if (marker := OpenJob.parse(name))]

    def _look_if_due(self) -> None:
        """Of several who ask one looks, the others take what is known."""
        if time.monotonic() >= self._look_again and self._looking.acquire(blocking=self._look_again == 0.0):
            try:
                self._look()
            finally:
                self._looking.release()

    def _is_known(self, job: OpenJob) -> bool:
        line = self._lines.get(job.project, _Line())
        if line.knows(job.name):
            return True
        if not os.path.exists(f"{self._volume.open}/{job.name}"):  # noqa: PTH110
            return False
        insort(self._lines.setdefault(job.project, line).markers, job.name)
        return True

    def _place(self, job: OpenJob) -> int:
        waiting = {project: len(line.markers) - len(line.taken) for project, line in self._lines.items()}
        return self._turns.place(job.project, self._lines[job.project].ahead(job.name), waiting)

    def _look(self) -> None:
        # Time that others had the processor for is not counted: a busy machine makes no queue long.
        began = time.thread_time()
        lines = self._read_lines()
        turns = Turns(read_turns(self._volume.turns) if len(lines) > 1 else [], self._weights)
        took = time.thread_time() - began
        self._find_taken(lines)
        with self._lock:
            self._lines, self._turns = lines, turns
        self._look_again = time.monotonic() + _SHARE * took

    def _read_lines(self) -> dict[str, _Line]:
        lines: dict[str, _Line] = {}
        for name in sorted(os.listdir(self._volume.open)):  # noqa: PTH208  names, not paths: there may be many
            lines.setdefault(name.partition(".")[2] or DEFAULT_PROJECT, _Line()).markers.append(name)
        return lines

    def _find_taken(self, lines: dict[str, _Line]) -> None:
        """Find the markers of which no job waits; until it is time to look, those that are known of."""
        began = time.monotonic()
        if began < self._look_through_again:
            for project, line in lines.items():
                line.taken = [name for name in self._lines.get(project, _Line()).taken if line.knows(name)]
            return
        for line in lines.values():
            line.taken = [name for name in line.markers if not self._marks_a_waiting_job(name)]
        now = time.monotonic()
        self._look_through_again = now + max(_FRESH_SECONDS, _SHARE * (now - began))

    def _marks_a_waiting_job(self, name: str) -> bool:
        marker = OpenJob.parse(name)
        return marker is not None and is_waiting(_folder(self._volume, marker.job_id))


def _folder(volume: Volume, job_id: str) -> str:
    return f"{volume.jobs}/{job_id[-2:]}/{job_id}"
