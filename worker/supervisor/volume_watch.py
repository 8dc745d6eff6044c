"""Watches whether the volume can store what a job writes, as one worker sees it.

A volume that is full, broken or not mounted is a fault of the service. No job fails because of it, and nothing is
claimed until a file as large as a resume point can be written again. Normally, a claim costs one query of the free
space.
"""

import logging
import time

from shared.job import AttemptEnd
from shared.job_folder import AttemptFolder
from shared.points import points_of
from shared.storage import classify_storage_error, is_storage_error, storage_message
from shared.volume import Volume

_FIRST_REST_SECONDS = 2
_MOST_REST_SECONDS = 20
# The point itself and the checkpoint before it.
_POINTS = 2

log = logging.getLogger(__name__)


class VolumeWatch:
    """`paused`: why nothing is claimed; empty while the volume works.

    `reserve_bytes`: minimum free space for a claim, and minimum size of a test file.
    """

    def __init__(self, volume: Volume, reserve_bytes: int) -> None:
        self.paused = ""
        self._volume = volume
        self._reserve = reserve_bytes
        self._probe_bytes = reserve_bytes
        self._rest = float(_FIRST_REST_SECONDS)
        self._next_probe = 0.0

    def may_claim(self) -> bool:
        """Check the filesystem's free space, and pause if it is too small."""
        if not self.paused:
            try:
                self._volume.check()
                self._volume.check_room(self._reserve)
            except OSError as error:
                self.pause(error)
        return not self.paused

    def pause(self, error: OSError) -> None:
        """Pause for an error of the volume; ignore others."""
        if not is_storage_error(error):
            return
        code = classify_storage_error(error, self._volume.root)
        if code.startswith("volume"):
            self._pause(storage_message(code, error))

    def learn_from(self, attempt: AttemptFolder, end: AttemptEnd) -> None:
        """Pause if an attempt was handed back because the volume could not store its files."""
        code = end.error.code if end.error else ""
        if code == "data_missing":
            self.may_claim()
        if code in {"volume_full", "volume_error"}:
            self._probe_bytes = self._reserve + _POINTS * _largest_point(attempt)
            self._pause(end.error.message if end.error else code)

    def look(self) -> bool:
        """Check the volume; while claiming is paused, write a test file. True if claiming resumes with this check."""
        if not self.paused:
            self.may_claim()
            return False
        if time.monotonic() < self._next_probe:
            return False
        try:
            self._volume.check()
            self._volume.check_room(self._probe_bytes)
            self._volume.probe(self._probe_bytes)
        except OSError as error:
            self._rest = min(2 * self._rest, _MOST_REST_SECONDS)
            self._next_probe = time.monotonic() + self._rest
            self.pause(error)
            return False
        log.warning("the volume works again: jobs are claimed")
        self.paused = ""
        return True

    def _pause(self, reason: str) -> None:
        if not self.paused:
            log.error("no job is claimed for now: %s", reason)
            self._rest = _FIRST_REST_SECONDS
            self._next_probe = time.monotonic() + self._rest
        self.paused = reason


def _largest_point(attempt: AttemptFolder) -> int:
    try:
        return max((path.stat().st_size for one in attempt.job.runs() for path in points_of(one)), default=0)
    except OSError:
        return 0
