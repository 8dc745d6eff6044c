"""Which job is next, and whose it is: the first in the queue's order that nobody has and that may run now."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from shared.document import UnusableDocument
from shared.events import epochs_done
from shared.job import AttemptEnd, Claim, Ending, Stop
from shared.job_folder import AttemptFolder, JobFolder, JobState
from shared.times import seconds_until, utc_now
from shared.volume import OpenJob, Volume
from worker.outcome import MOST_BACKOFF_SECONDS

log = logging.getLogger(__name__)


@dataclass
class Owner:
    """Who claims: a worker, named anew at each of its starts, and one of its slots, with its GPU's price if known.

    `claiming_since` is the moment before its last claim, by this machine's monotonic clock: from there on others count.
    """

    worker: str
    host: str
    pid: int
    slot: int
    device: str
    gpu_price_per_hour: float | None = None
    currency: str | None = None
    claiming_since: float = 0.0

    def claim(self, attempt: int) -> Claim:
        self.claiming_since = time.monotonic()
        return Claim(
            attempt=attempt,
            owner=self.worker,
            host=self.host,
            pid=self.pid,
            slot=self.slot,
            device=self.device,
            claimed_at=utc_now(),
            gpu_price_per_hour=self.gpu_price_per_hour,
            currency=self.currency if self.gpu_price_per_hour is not None else None,
        )


def claim_next(volume: Volume, owner: Owner) -> AttemptFolder | None:
    """Claim the first job in order that waits for a worker; None where there is none.

    Of any number of workers that ask at once, each job goes to exactly one. A job that is cancelled while it is
    claimed is not started.
    """
    for waiting in waiting_jobs(volume):
        number = waiting.attempt.number + 1 if waiting.attempt else 1
        folder = volume.job_folder(waiting.record.id)
        if not _is_usable(folder):
            continue
        attempt = folder.take(owner.claim(number))
        if attempt is None:
            continue
        # Without its spec the job was deleted between our look and our claim.
        if folder.result() is None and folder.spec_file.exists():
            return attempt
        attempt.close(AttemptEnd(outcome="handed_back", ended_at=utc_now()))
    return None


def waiting_jobs(volume: Volume) -> Iterator[JobState]:
    """The queued jobs that may run now, in order; on the way, jobs that are over leave the queue."""
    for open_job in volume.open_jobs():
        state = _looked_at(volume, open_job)
        if state is None or state.status != "queued":
            continue
        if not _must_wait(state.end):
            yield state


def _must_wait(end: AttemptEnd | None) -> bool:
    """Whether the job's time has not come yet.

    A moment further off than any back-off was written by a clock that is wrong, and nobody waits a day for that.
    """
    return end is not None and end.retry_at is not None and 0 < seconds_until(end.retry_at) <= MOST_BACKOFF_SECONDS


def _looked_at(volume: Volume, open_job: OpenJob) -> JobState | None:
    """A job's state, after what its files already decided has been written down; None where nothing is left to do.

    A job that cannot be read stands aside: the others must not wait for it.
    """
    folder = volume.job_folder(open_job.job_id)
    try:
        state = folder.state()
    except UnusableDocument as error:
        log_set_aside(open_job.job_id, str(error))
        return None
    if state is None:
        return None
    if state.result is not None or settle_if_decided(folder, state):
        volume.close_job(open_job)
        return None
    return state


def _is_usable(folder: JobFolder) -> bool:
    """Whether this version can read what an attempt rests on; asked before a claim alone, since it reads many files."""
    try:
        folder.check()
    except UnusableDocument as error:
        log_set_aside(folder.id, str(error))
        return False
    return True


@lru_cache(maxsize=1000)
def log_set_aside(job_id: str, problem: str) -> None:
    """Log it once, not at each look through the queue."""
    log.error("%s is set aside: %s", job_id, problem)


def settle_if_decided(folder: JobFolder, state: JobState) -> bool:
    """Write the result that the job's files already decide: an attempt's ending, or a cancel in the queue.

    This is how a job gets its result also when the process that should have written it was killed just before.
    """
    if state.end is not None and state.end.ending is not None:
        folder.settle(state.end.ending, state.attempt.number if state.attempt else None)
        return True
    if state.status == "queued" and state.cancel is not None:
        last_epoch = epochs_done(folder)
        not_run = state.record.spec.hyperparameters.epochs - last_epoch
        stop = Stop(reason="cancelled", last_epoch=last_epoch, epochs_not_run=not_run)
        folder.settle(Ending(status="cancelled", stop=stop), None)
        return True
    return False
