"""The places of jobs in the queue: the order of the markers in `open/` by turns, counting only waiting jobs."""

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

# Minimum time between two searches for claimed jobs. All looks together take at most a fiftieth of the time.
_FRESH_SECONDS = 0.5
_SHARE = 50


def queued_jobs(volume: Volume, weights: Mapping[str, int]) -> Iterator[OpenJob]:
    """The jobs that wait, in the order in which workers claim them (`shared.turns`)."""
    queues: dict[str, list[OpenJob]] = {}
    for marker in volume.open_jobs():
        if is_waiting(_folder(volume, marker.job_id)):
            queues.setdefault(marker.project, []).append(marker)
    return Turns(read_turns(volume.turns), weights).merge(queues)


@dataclass
class _ProjectQueue:
    """The sorted markers of one project, and those of them whose jobs do not wait."""

    markers: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def ahead(self, marker: str) -> int:
        return bisect_left(self.markers, marker) - bisect_left(self.taken, marker)

    def has(self, marker: str) -> bool:
        place = bisect_left(self.markers, marker)
        return self.markers[place : place + 1] == [marker]


class QueuePlaces:
    """The places of jobs in a queue of any length, from a copy of its markers in memory.

    A job that was just posted has a place at once. Other posted or cancelled jobs count when the folder of markers is
    listed again: at once in a short queue, and later in a long one, so that this takes at most a fiftieth of the time.
    Claims by workers count after half a second, and later in a long queue, with the same limit for the search.
    """

    def __init__(self, volume: Volume, weights: Mapping[str, int]) -> None:
        self._volume = volume
        self._weights = weights
        self._looking = threading.Lock()
        self._lock = threading.Lock()
        self._queues: dict[str, _ProjectQueue] = {}
        self._turns = Turns([], weights)
        self._look_again = self._find_taken_at = 0.0

    def of(self, *jobs: OpenJob) -> dict[str, int]:
        """The places of waiting jobs by their ids: 1 for the next one. A job without a marker is left out."""
        self._look_if_due()
        with self._lock:
            return {job.job_id: self._place(job) for job in jobs if self._is_known(job)}

    def taken(self, project: str | None = None) -> list[str]:
        """The ids of the unfinished jobs that a worker has claimed, of one project, or of all if it is None."""
        self._look_if_due()
        with self._lock:
            queues = [queue for name, queue in self._queues.items() if project in {None, name}]
        return [marker.job_id for queue in queues for name in queue.taken if (marker := OpenJob.parse(name))]

    def _look_if_due(self) -> None:
        """Look if a look is due. Of several threads, one looks, and the others use the existing copy."""
        if time.monotonic() >= self._look_again and self._looking.acquire(blocking=self._look_again == 0.0):
            try:
                self._look()
            finally:
                self._looking.release()

    def _is_known(self, job: OpenJob) -> bool:
        queue = self._queues.get(job.project, _ProjectQueue())
        if queue.has(job.name):
            return True
        if not os.path.exists(f"{self._volume.open}/{job.name}"):  # noqa: PTH110
            return False
        insort(self._queues.setdefault(job.project, queue).markers, job.name)
        return True

    def _place(self, job: OpenJob) -> int:
        waiting = {project: len(queue.markers) - len(queue.taken) for project, queue in self._queues.items()}
        return self._turns.place(job.project, self._queues[job.project].ahead(job.name), waiting)

    def _look(self) -> None:
        # CPU time of this thread: a busy machine must not make a short queue look long.
        began = time.thread_time()
        queues = self._read_queues()
        turns = Turns(read_turns(self._volume.turns) if len(queues) > 1 else [], self._weights)
        took = time.thread_time() - began
        self._find_taken(queues)
        with self._lock:
            self._queues, self._turns = queues, turns
        self._look_again = time.monotonic() + _SHARE * took

    def _read_queues(self) -> dict[str, _ProjectQueue]:
        queues: dict[str, _ProjectQueue] = {}
        for name in sorted(os.listdir(self._volume.open)):  # noqa: PTH208  names, not paths: there may be many
            queues.setdefault(name.partition(".")[2] or DEFAULT_PROJECT, _ProjectQueue()).markers.append(name)
        return queues

    def _find_taken(self, queues: dict[str, _ProjectQueue]) -> None:
        """Find the markers whose jobs do not wait. Until the next search is due, keep those of the last one."""
        began = time.monotonic()
        if began < self._find_taken_at:
            for project, queue in queues.items():
                queue.taken = [name for name in self._queues.get(project, _ProjectQueue()).taken if queue.has(name)]
            return
        for queue in queues.values():
            queue.taken = [name for name in queue.markers if not self._marks_a_waiting_job(name)]
        now = time.monotonic()
        self._find_taken_at = now + max(_FRESH_SECONDS, _SHARE * (now - began))

    def _marks_a_waiting_job(self, name: str) -> bool:
        marker = OpenJob.parse(name)
        return marker is not None and is_waiting(_folder(self._volume, marker.job_id))


def _folder(volume: Volume, job_id: str) -> str:
    return f"{volume.jobs}/{job_id[-2:]}/{job_id}"
