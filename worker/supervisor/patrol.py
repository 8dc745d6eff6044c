"""Checks the unfinished jobs every few seconds, in every worker, so that nothing needs an operator.

An attempt whose counter stops is ended as lost; on its worker's own machine as soon as the worker's process has exited;
a job whose files decide its end gets its result; a job that waits and that no notification announces is announced.

In a long queue nearly all jobs wait, and reading all of them every few seconds would be most of what a worker does. So
each pass reads the head of the queue, the running jobs by the workers' cards and earlier passes, and in turn a part of
the others.
"""

import logging
import time

from shared.document import UnusableDocument
from shared.durable import read_bytes
from shared.job_folder import AttemptFolder
from shared.mirror.attached import discard, mirror_at, owns, refresh
from shared.open_job import OpenJob
from shared.processes import is_gone
from shared.queue import MOST_PENDING, JobQueue
from shared.settings import Settings
from shared.volume import Volume
from worker.supervisor.claim import log_set_aside, waiting_jobs
from worker.supervisor.outcome import lost_attempt

# A machine that was copied while it ran has the boot, the pids and the namespaces of the other one: a worker that
# beats is there, whatever its process looks like from here.
_QUIET_BEATS = 1.5
# An attempt that this process has claimed and that is silent for this number of take-over times is run by nobody: the
# bucket failed right after its claim.
_OWN_TAKE_OVERS = 3
# Of a queue up to this length each look takes in all.
_MOST_LOOKS = 200
_HEAD = 50

log = logging.getLogger(__name__)


class Sweeper:
    """One worker's patrol of the volume. `clock` is this machine's monotonic clock, in seconds."""

    def __init__(self, volume: Volume, job_queue: JobQueue, settings: Settings) -> None:
        self._volume = volume
        self._queue = job_queue
        self._settings = settings
        self._seen: dict[tuple[str, int], tuple[bytes | None, float]] = {}
        self._turn = 0

    def sweep(self) -> None:
        """One pass.

        A failing volume may have lost an owner's heartbeat or end: then the attempt is watched again from the start.
        """
        try:
            jobs = self._jobs_to_look_at()
            untouched = {job.job_id for job in jobs if self._volume.job_folder(job.job_id).is_untouched()}
            touched = [job for job in jobs if job.job_id not in untouched]
            self._end_lost_attempts(touched)
            waiting = untouched | {state.record.id for state in waiting_jobs(self._volume, touched)}
            self._notify_of([job.job_id for job in jobs if job.job_id in waiting])
        except OSError as error:
            log.warning("the volume is not usable; no attempt is declared lost until it is: %s", error)
            self._seen.clear()

    def _jobs_to_look_at(self) -> list[OpenJob]:
        """In the queue's order."""
        jobs = list(self._volume.open_jobs())
        if len(jobs) <= _MOST_LOOKS:
            return jobs
        known = {job_id for job_id, _ in self._seen}
        known.update(run.job for card in self._volume.worker_cards() for run in card.running)
        places = {place for place, job in enumerate(jobs) if job.job_id in known}
        places.update(range(_HEAD), ((self._turn + step) % len(jobs) for step in range(_MOST_LOOKS)))
        self._turn = (self._turn + _MOST_LOOKS) % len(jobs)
        return [jobs[place] for place in sorted(places)]

    def _end_lost_attempts(self, jobs: list[OpenJob]) -> None:
        running = dict(self._running_attempts(jobs))
        self._seen = {key: value for key, value in self._seen.items() if key in running}
        for key, attempt in running.items():
            try:
                self._end_if_lost(attempt, self._silence(key, attempt))
            except OSError as error:
                log.warning("%s attempt %d is watched again from the start: %s", *key, error)
                self._seen.pop(key, None)
            except UnusableDocument as error:
                # A job that cannot be read stands aside: the others must not wait for it.
                log_set_aside(key[0], f"attempt {key[1]} sends no heartbeat and cannot be ended: {error}")

    def _end_if_lost(self, attempt: AttemptFolder, silence: float) -> None:
        """End an attempt that sent no heartbeat for too long, or for a while if its processes have exited."""
        is_quiet = silence > _QUIET_BEATS * self._settings.heartbeat_seconds
        has_ended = is_quiet and _has_no_process(attempt)
        if not has_ended and silence <= self._settings.take_over_seconds:
            return
        if owns(attempt.path):
            # What is here of it is not all in the bucket, so others would count less. Its own thread gives it up soon.
            if silence > _OWN_TAKE_OVERS * self._settings.take_over_seconds:
                discard(attempt.path)
            return
        # Of a volume in a bucket the last look may be old, and its events must be here to be counted.
        refresh(attempt.job.path)
        if read_bytes(attempt.heartbeat_file) != self._seen[attempt.job.id, attempt.number][0]:
            return
        if attempt.close(lost_attempt(attempt, self._settings, is_gone=has_ended)):
            why = "its worker's process has exited" if has_ended else "its heartbeat has stopped"
            log.warning("%s attempt %d is lost: %s", attempt.job.id, attempt.number, why)

    def _running_attempts(self, jobs: list[OpenJob]) -> list[tuple[tuple[str, int], AttemptFolder]]:
        found = []
        for open_job in jobs:
            try:
                attempt = self._volume.job_folder(open_job.job_id).running_attempt()
                if attempt is not None:
                    found.append(((open_job.job_id, attempt.number), attempt))
            except OSError as error:
                log.warning("%s cannot be read and is ignored: %s", open_job.job_id, error)
        return found

    def _silence(self, key: tuple[str, int], attempt: AttemptFolder) -> float:
        """Seconds for which this process has seen the same counter, by its own clock."""
        looked = time.monotonic()
        beat = read_bytes(attempt.heartbeat_file)
        before = self._seen.get(key)
        if before is None or before[0] != beat:
            # The moment after the read: on a slow volume the beat may be younger than the look's beginning.
            self._seen[key] = (beat, time.monotonic())
            return 0.0
        return looked - before[1]

    def _notify_of(self, waiting: list[str]) -> None:
        pending = self._queue.count_pending() if waiting else None
        unannounced = [] if pending is None else waiting[pending:MOST_PENDING]
        if unannounced:
            self._queue.notify(*unannounced)


def _has_no_process(attempt: AttemptFolder) -> bool:
    """Whether the attempt's worker ran on this machine and has ended, and so has the process that trained for it."""
    claim, training = attempt.claim(), attempt.training_process()
    if claim is None or not is_gone(claim.process):
        return False
    if training is None:
        # Of a volume in a bucket it may have been named in a folder that is gone, and train still.
        return mirror_at(attempt.volume_root) is None
    return is_gone(training.process)
