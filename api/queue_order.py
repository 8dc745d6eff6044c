"""Where a queued job stands: the order of the markers in `open/`, counting only jobs that wait."""

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator

from shared.ids import is_job_id
from shared.job_folder import RESULT_FILE, SPEC_FILE, AttemptFolder, JobFolder
from shared.volume import OpenJob, Volume

# Who has been taken meanwhile is looked up no more often than this, and for at most a twentieth of the time.
_FRESH_SECONDS = 0.5
_SHARE = 20


def queued_jobs(volume: Volume) -> Iterator[str]:
    """The ids of the jobs that wait, in the order in which they are served."""
    for marker in volume.open_jobs():
        if _waits(volume, marker.job_id):
            yield marker.job_id


class QueuePlaces:
    """Places in a queue of any length, each for one look at the folder of markers.

    Who posts or cancels is seen at once; who has been taken by a worker after half a second, later where the queue is
    so long that looking takes longer.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._looking = threading.Lock()
        self._taken: list[str] = []
        self._fresh_until = 0.0

    def of(self, *jobs: OpenJob) -> dict[str, int]:
        """The places of jobs that wait, by id: 1 for the one that is served next; none for one that has no marker."""
        markers = sorted(os.listdir(self._volume.open))  # noqa: PTH208  names, not paths: there may be many
        taken = self._taken_among(markers)
        places = {}
        for job in jobs:
            place = bisect_left(markers, job.name)
            if place < len(markers) and markers[place] == job.name:
                places[job.job_id] = 1 + place - bisect_left(taken, job.name)
        return places

    def _taken_among(self, markers: list[str]) -> list[str]:
        """The markers, sorted, of which no job waits; of several who ask one looks, the others take what is known."""
        now = time.monotonic()
        if now >= self._fresh_until and self._looking.acquire(blocking=self._fresh_until == 0.0):
            try:
                self._taken = [name for name in markers if not self._marks_a_waiting_job(name)]
                took = time.monotonic() - now
                self._fresh_until = time.monotonic() + max(_FRESH_SECONDS, _SHARE * took)
            finally:
                self._looking.release()
        standing = set(markers)
        return [name for name in self._taken if name in standing]

    def _marks_a_waiting_job(self, name: str) -> bool:
        priority, _, job_id = name.partition("-")
        return priority.isdecimal() and is_job_id(job_id) and _waits(self._volume, job_id)


def _waits(volume: Volume, job_id: str) -> bool:
    """JobState's "queued", by the names of the files alone: nothing is parsed, so that a long queue costs little."""
    folder = f"{volume.jobs}/{job_id[-2:]}/{job_id}"
    if os.path.exists(f"{folder}/{RESULT_FILE}") or not os.path.exists(f"{folder}/{SPEC_FILE}"):  # noqa: PTH110
        return False
    if not os.path.exists(f"{folder}/attempts"):  # noqa: PTH110  a queue of ten thousand asks this thrice for each
        return True
    attempts: list[AttemptFolder] = JobFolder(volume.jobs / job_id[-2:] / job_id).attempts()
    return not attempts or attempts[-1].end_file.exists()
