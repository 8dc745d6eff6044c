"""Looks through the open jobs every few seconds, in every worker: nothing waits for an operator.

An attempt whose counter stands still is ended as lost; a job whose files decide its end gets its result; a job that
waits and that no ring announces is rung for.
"""

import logging
import time

from shared.document import UnusableDocument
from shared.durable import read_bytes
from shared.job_folder import AttemptFolder
from shared.queue import Doorbell
from shared.settings import Settings
from shared.volume import Volume
from worker.claim import log_set_aside, waiting_jobs
from worker.outcome import lost_attempt

log = logging.getLogger(__name__)


class Sweeper:
    """One worker's eyes on the volume. `clock` is this machine's monotonic clock, in seconds."""

    def __init__(self, volume: Volume, doorbell: Doorbell, settings: Settings) -> None:
        self._volume = volume
        self._doorbell = doorbell
        self._settings = settings
        self._seen: dict[tuple[str, int], tuple[bytes | None, float]] = {}

    def sweep(self) -> None:
        """One look."""
        self._end_lost_attempts()
        self._ring_for_waiting_jobs()

    def _end_lost_attempts(self) -> None:
        running = dict(self._running_attempts())
        self._seen = {key: value for key, value in self._seen.items() if key in running}
        for key, attempt in running.items():
            if self._is_silent(key, attempt):
                self._end_as_lost(key, attempt)

    def _end_as_lost(self, key: tuple[str, int], attempt: AttemptFolder) -> None:
        """A job that cannot be read stands aside: the others must not wait for it."""
        try:
            was_ended = attempt.close(lost_attempt(attempt, self._settings))
        except UnusableDocument as error:
            log_set_aside(key[0], f"attempt {key[1]} is silent and cannot be ended: {error}")
            return
        if was_ended:
            log.warning("%s attempt %d is lost: its heartbeat stands still", *key)

    def _running_attempts(self) -> list[tuple[tuple[str, int], AttemptFolder]]:
        found = []
        for open_job in self._volume.open_jobs():
            attempts = self._volume.job_folder(open_job.job_id).attempts()
            if attempts and not attempts[-1].end_file.exists():
                found.append(((open_job.job_id, attempts[-1].number), attempts[-1]))
        return found

    def _is_silent(self, key: tuple[str, int], attempt: AttemptFolder) -> bool:
        """Whether this process has seen the same counter for too long, by its own clock."""
        looked = time.monotonic()
        beat = read_bytes(attempt.heartbeat_file)
        before = self._seen.get(key)
        if before is None or before[0] != beat:
            # The moment behind the read: on a slow volume the beat may be younger than the look's beginning.
            self._seen[key] = (beat, time.monotonic())
            return False
        return looked - before[1] > self._settings.take_over_seconds

    def _ring_for_waiting_jobs(self) -> None:
        waiting = [state.record.id for state in waiting_jobs(self._volume)]
        if not waiting:
            return
        unheard = self._doorbell.unheard()
        if unheard is None:
            return
        for job_id in waiting[unheard:]:
            self._doorbell.ring(job_id)
