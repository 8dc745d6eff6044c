"""Looks through the open jobs every few seconds, in every worker: nothing waits for an operator.

An attempt whose counter stands still is ended as lost, on its worker's own machine as soon as the worker's process is
gone; a job whose files decide its end gets its result; a job that
waits and that no ring announces is rung for.
"""

import logging
import time

from shared.durable import read_bytes
from shared.job_folder import AttemptFolder
from shared.processes import is_gone
from shared.queue import Doorbell
from shared.settings import Settings
from shared.volume import Volume
from worker.claim import waiting_jobs
from worker.outcome import lost_attempt

# A machine that was copied while it ran has the boot, the pids and the namespaces of the other one: a worker that
# beats is there, whatever its process looks like from here.
_QUIET_BEATS = 1.5

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
            silence = self._silence(key, attempt)
            try:
                self._end_if_lost(attempt, silence)
            except ValueError:
                # A job that cannot be read stands aside: the others must not wait for it.
                log.exception("%s attempt %d is silent and its job has a damaged record", *key)

    def _end_if_lost(self, attempt: AttemptFolder, silence: float) -> None:
        """End an attempt that has been silent for too long, or for a while and by now without its processes."""
        is_quiet = silence > _QUIET_BEATS * self._settings.heartbeat_seconds
        has_ended = is_quiet and _has_no_process(attempt)
        if not has_ended and silence <= self._settings.take_over_seconds:
            return
        if attempt.close(lost_attempt(attempt, self._settings, is_gone=has_ended)):
            why = "its worker's process is gone" if has_ended else "its heartbeat stands still"
            log.warning("%s attempt %d is lost: %s", attempt.job.id, attempt.number, why)

    def _running_attempts(self) -> list[tuple[tuple[str, int], AttemptFolder]]:
        found = []
        for open_job in self._volume.open_jobs():
            attempts = self._volume.job_folder(open_job.job_id).attempts()
            if attempts and not attempts[-1].end_file.exists():
                found.append(((open_job.job_id, attempts[-1].number), attempts[-1]))
        return found

    def _silence(self, key: tuple[str, int], attempt: AttemptFolder) -> float:
        """For how many seconds this process has seen the same counter, by its own clock."""
        looked = time.monotonic()
        beat = read_bytes(attempt.heartbeat_file)
        before = self._seen.get(key)
        if before is None or before[0] != beat:
            # The moment behind the read: on a slow volume the beat may be younger than the look's beginning.
            self._seen[key] = (beat, time.monotonic())
            return 0.0
        return looked - before[1]

    def _ring_for_waiting_jobs(self) -> None:
        waiting = [state.record.id for state in waiting_jobs(self._volume)]
        if not waiting:
            return
        unheard = self._doorbell.unheard()
        if unheard is None:
            return
        for job_id in waiting[unheard:]:
            self._doorbell.ring(job_id)


def _has_no_process(attempt: AttemptFolder) -> bool:
    """Whether the attempt's worker ran on this machine and has ended, and so has the process that trained for it."""
    claim, training = attempt.claim(), attempt.training_process()
    if claim is None or not is_gone(claim.process):
        return False
    return training is None or is_gone(training.process)
