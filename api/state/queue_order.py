"""Where a queued job stands: the order of the markers in `open/`, counting only jobs that wait."""

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator

from shared.ids import is_job_id
from shared.job_folder import is_waiting
from shared.volume import OpenJob, Volume

# Who has been taken meanwhile is looked up no more often than this; each look has a fiftieth of the time at most.
_FRESH_SECONDS = 0.5
_SHARE = 50


def queued_jobs(volume: Volume) -> Iterator[str]:
    """The ids of the jobs that wait, in the order in which they are served."""
    for marker in volume.open_jobs():
        if is_waiting(_folder(volume, marker.job_id)):
            yield marker.job_id


class QueuePlaces:
    """Places in a queue of any length, each for a look at what is known of it.

    A job that was just posted is seen at once. Who else was posted or cancelled is seen as soon as the folder of
    markers is looked at again, for at most a fiftieth of the time: in a short queue at once too. Who has been taken
    by a worker is seen after half a second, later where the queue is so long that looking takes longer.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._looking = threading.Lock()
        self._lock = threading.Lock()
        self._markers: list[str] = []
        self._taken: list[str] = []
        self._look_again = self._look_through_again = 0.0

    def of(self, *jobs: OpenJob) -> dict[str, int]:
        """The places of jobs that wait, by id: 1 for the one that is served next; none for one that has no marker."""
        # Of several who ask one looks, the others take what is known.
        if time.monotonic() >= self._look_again and self._looking.acquire(blocking=self._look_again == 0.0):
            try:
                self._look()
            finally:
                self._looking.release()
        with self._lock:
            return {job.job_id: self._place(job.name) for job in jobs if self._is_known(job.name)}

    def _is_known(self, marker: str) -> bool:
        place = bisect_left(self._markers, marker)
        if self._markers[place : place + 1] == [marker]:
            return True
        if not os.path.exists(f"{self._volume.open}/{marker}"):  # noqa: PTH110
            return False
        self._markers.insert(place, marker)
        return True

    def _place(self, marker: str) -> int:
        return 1 + bisect_left(self._markers, marker) - bisect_left(self._taken, marker)

    def _look(self) -> None:
        # Time that others had the processor for is not counted: a busy machine makes no queue long.
        began = time.thread_time()
        markers = sorted(os.listdir(self._volume.open))  # noqa: PTH208  names, not paths: there may be many
        took = time.thread_time() - began
        taken = self._taken_among(markers)
        with self._lock:
            self._markers, self._taken = markers, taken
        self._look_again = time.monotonic() + _SHARE * took

    def _taken_among(self, markers: list[str]) -> list[str]:
        """The markers, sorted, of which no job waits."""
        began = time.monotonic()
        if began < self._look_through_again:
            standing = set(markers)
            return [name for name in self._taken if name in standing]
        taken = [name for name in markers if not self._marks_a_waiting_job(name)]
        now = time.monotonic()
        self._look_through_again = now + max(_FRESH_SECONDS, _SHARE * (now - began))
        return taken

    def _marks_a_waiting_job(self, name: str) -> bool:
        priority, _, job_id = name.partition("-")
        return priority.isdecimal() and is_job_id(job_id) and is_waiting(_folder(self._volume, job_id))


def _folder(volume: Volume, job_id: str) -> str:
    return f"{volume.jobs}/{job_id[-2:]}/{job_id}"
