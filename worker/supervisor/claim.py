"""Claims the next job: the first in the queue's order that is free and may run now."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from shared.backoff import backs_off_until
from shared.document import UnusableDocument
from shared.job import AttemptEnd, Claim, ProcessIdentity
from shared.job_folder import AttemptFolder, JobFolder, JobState
from shared.mirror.attached import refresh
from shared.open_job import OpenJob
from shared.settling import settle_if_decided
from shared.spec import ProgramJobSpec
from shared.spec.base import MOST_DEVICES
from shared.times import utc_now
from shared.turns import Turns, read_turns, record_turn
from shared.volume import Volume
from worker.machine.memory import DATA_LARGER_THAN_MEMORY, memory_bytes

_PROBE_BYTES = 64 * 1024

log = logging.getLogger(__name__)


class NeedsMoreSlots(Exception):
    """The first job in order, named by its id, needs more devices than the free slots of the worker have."""


@dataclass
class Owner:
    """The owner of claims: a worker, whose name is new at each start, one of its slots, and the GPU's price if known.

    `claiming_since`: the moment before the last claim, by this machine's monotonic clock; the attempt's time counts
    from it. `devices`: number of devices of the free slots; the last claim uses `claimed` of them. `process`: the
    worker's own process, so that other workers on the machine can see that it has exited.
    """

    worker: str
    host: str
    pid: int
    slot: int
    device: str
    gpu_price_per_hour: float | None = None
    currency: str | None = None
    claiming_since: float = 0.0
    process: ProcessIdentity | None = None
    devices: int = 1
    claimed: int = 1

    def claim(self, attempt: int, devices: int = 1) -> Claim:
        self.claiming_since, self.claimed = time.monotonic(), devices
        return Claim(
            attempt=attempt,
            owner=self.worker,
            host=self.host,
            pid=self.pid,
            slot=self.slot,
            device=self.device,
            claimed_at=utc_now(),
            gpu_price_per_hour=None if self.gpu_price_per_hour is None else self.gpu_price_per_hour * devices,
            currency=self.currency if self.gpu_price_per_hour is not None else None,
            memory_bytes=memory_bytes(),
            process=self.process,
            devices=devices,
        )


def claim_next(
    volume: Volume,
    owner: Owner,
    weights: Mapping[str, int] | None = None,
    *,
    takes_programs: bool = True,
    most_devices: int = 0,
) -> AttemptFolder | None:
    """Claim the first waiting job in the queue's order; None if there is none. `weights`: of the projects, by name.

    Jobs that need more than `most_devices` are left to other workers; without `takes_programs`, so are jobs that run a
    program. No other job is skipped, so a job on several devices waits no longer than others. If the first job needs
    more devices than the free slots have, but not more than `most_devices`, which the worker has once other slots are
    free, NeedsMoreSlots is raised and nothing is claimed.

    Among any number of concurrent workers, exactly one claims a job. A job that is cancelled while it is claimed is not
    started.
    """
    most = max(owner.devices, most_devices)
    for waiting in in_turns(volume, weights or {}, takes_programs=takes_programs, devices=most):
        number = waiting.attempt.number + 1 if waiting.attempt else 1
        folder = volume.job_folder(waiting.record.id)
        if not _is_usable(folder):
            continue
        if waiting.record.spec.devices > owner.devices:
            raise NeedsMoreSlots(folder.id)
        attempt = _take(volume, folder, owner.claim(number, waiting.record.spec.devices))
        if attempt is None:
            continue
        refresh(folder.path)
        # If it has no spec, the job was deleted between the read and the claim.
        if folder.result() is None and folder.spec_file.exists():
            record_turn(volume.turns, waiting.record.project)
            return attempt
        held = round(time.monotonic() - owner.claiming_since, 6)
        attempt.close(AttemptEnd(outcome="handed_back", ended_at=utc_now(), held_seconds=held))
    return None


def in_turns(volume: Volume, weights: Mapping[str, int], *, takes_programs: bool, devices: int) -> Iterator[JobState]:
    """Yield the jobs that may run now, in the order in which the projects take turns."""
    queues: dict[str, list[OpenJob]] = {}
    for marker in volume.open_jobs():
        queues.setdefault(marker.project, []).append(marker)
    waiting = {
        project: waiting_jobs(volume, among, takes_programs=takes_programs, devices=devices)
        for project, among in queues.items()
    }
    return Turns(read_turns(volume.turns), weights).merge(waiting)


def _take(volume: Volume, folder: JobFolder, claim: Claim) -> AttemptFolder | None:
    """Claim the job; None if another worker was first, or the job's folder fails. Raises OSError if the volume does."""
    try:
        return folder.take(claim)
    except OSError as error:
        volume.check()
        volume.probe(_PROBE_BYTES)
        log_set_aside(folder.id, str(error))
        return None


def waiting_jobs(
    volume: Volume, among: Iterable[OpenJob] | None = None, *, takes_programs: bool = True, devices: int = MOST_DEVICES
) -> Iterator[JobState]:
    """Yield the queued jobs that may run now, in the order of `among`. Finished jobs are removed from the queue.

    Jobs that need more than `devices` are left out, and without `takes_programs` those that run a program.
    """
    for open_job in volume.open_jobs() if among is None else among:
        state = _inspect(volume, open_job)
        if state is None or state.status != "queued":
            continue
        if not takes_programs and isinstance(state.record.spec, ProgramJobSpec):
            continue
        if state.record.spec.devices > devices:
            continue
        may_run = backs_off_until(state.end) is None or _has_more_memory(state)
        if may_run and not _lacks_data(volume, state):
            yield state


def _has_more_memory(state: JobState) -> bool:
    """Whether this worker has more memory than the last one, whose memory was too small for the job's data."""
    error = state.end.error if state.end else None
    had, has = state.claim.memory_bytes if state.claim else None, memory_bytes()
    is_too_large = error is not None and error.code == DATA_LARGER_THAN_MEMORY
    return is_too_large and had is not None and has is not None and has > had


def _lacks_data(volume: Volume, state: JobState) -> bool:
    """Whether the job was handed back because its data was missing, which it still is."""
    return state.lacked_data and not volume.has_files(state.record)


def _inspect(volume: Volume, open_job: OpenJob) -> JobState | None:
    """A job's state, after the result that its files imply has been recorded; None if nothing remains to do.

    A job that cannot be read is set aside, so that the others need not wait.
    """
    folder = volume.job_folder(open_job.job_id)
    try:
        state = folder.state()
    except UnusableDocument as error:
        log_set_aside(open_job.job_id, str(error))
        return None
    except OSError as error:
        volume.check()
        log_set_aside(open_job.job_id, str(error))
        return None
    if state is None:
        return None
    if state.result is not None or settle_if_decided(folder, state):
        volume.close_job(open_job)
        return None
    return state


def _is_usable(folder: JobFolder) -> bool:
    """Whether this version can read what an attempt needs; checked only before a claim, since it reads many files."""
    try:
        folder.check()
    except UnusableDocument as error:
        log_set_aside(folder.id, str(error))
        return False
    return True


@lru_cache(maxsize=1000)
def log_set_aside(job_id: str, problem: str) -> None:
    """Log that a job is set aside; once for each job and problem, not at each pass through the queue."""
    log.error("%s is set aside: %s", job_id, problem)
