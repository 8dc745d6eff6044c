"""The patrol: every worker checks the unfinished jobs every few seconds, so that nothing needs an operator.

It ends an attempt as lost if its heartbeat stops, or on the worker's own machine as soon as the worker's process has
exited. It writes the result of a job whose files decide its end. It notifies of a waiting job that has no notification.

In a long queue nearly all jobs wait, and to read all of them every few seconds would be most of a worker's work. So
each pass reads the head of the queue, the jobs that run by the workers' cards and earlier passes, and a part of the
others, which changes with each pass.
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

# A clone of a running machine has the same boot id, process ids and namespaces. So an attempt with a new heartbeat is
# not lost, even if its worker's process seems to have exited.
_QUIET_BEATS = 1.5
# If an attempt that this process has claimed has no heartbeat for this number of take-over times, nobody runs it: the
# bucket failed directly after the claim.
_OWN_TAKE_OVERS = 3
# Each pass reads all jobs of a queue up to this length.
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
        """Make one pass.

        If the volume fails, heartbeats and ends of attempts may be lost. So all attempts are then watched again from
        the start.
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
        """The jobs to read in this pass, in the queue's order."""
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
                # A job that cannot be read is set aside, so that the others do not wait for it.
                log_set_aside(key[0], f"attempt {key[1]} sends no heartbeat and cannot be ended: {error}")

    def _end_if_lost(self, attempt: AttemptFolder, silence: float) -> None:
        """End an attempt without a heartbeat for too long (`silence`, in seconds), or whose processes have exited."""
        is_quiet = silence > _QUIET_BEATS * self._settings.heartbeat_seconds
        has_ended = is_quiet and _has_no_process(attempt)
        if not has_ended and silence <= self._settings.take_over_seconds:
            return
        if owns(attempt.path):
            # Some of its files here are not in the bucket, so others would count less. Its own thread ends it soon.
            if silence > _OWN_TAKE_OVERS * self._settings.take_over_seconds:
                discard(attempt.path)
            return
        # For a volume in a bucket: the files here may be old, and the events are needed to count progress.
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
            # The time after the read: on a slow volume the heartbeat may have been written during the read.
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
        # For a volume in a bucket: its process may be named only in a folder that no longer exists, and still train.
        return mirror_at(attempt.volume_root) is None
    return is_gone(training.process)
