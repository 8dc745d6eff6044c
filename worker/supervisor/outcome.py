"""Decides how an attempt ended, from the volume and the end of its process; never from an exit status alone.

Creating `end.json` is the decision: the attempt's worker creates it, or another worker that considers the attempt lost.
The job's `result.json` follows from it, and any worker may write it.
"""

import logging
import signal
from collections import Counter
from itertools import takewhile
from typing import Any, NamedTuple

from shared.attempts import Counts, is_failure, is_loss, since_progress, with_ends
from shared.backoff import MOST_BACKOFF_SECONDS
from shared.document import UnusableDocument
from shared.events import last_event
from shared.job import AttemptEnd, Conclusion, Ending, JobError, Stop
from shared.job_folder import AttemptFolder, JobFolder
from shared.points import made_progress, place_of, points_of, with_points
from shared.settings import Settings
from shared.settling import stop_after_events
from shared.storage import storage_message
from shared.times import time_in, utc_now
from worker.ipc.beat import held_by_last_beat
from worker.ipc.exit_statuses import CODE_OF_STATUS, SUPERSEDED
from worker.machine.memory import DATA_LARGER_THAN_MEMORY, data_shortage
from worker.supervisor.programs import runs_program

# How an attempt that ended with an error counts, by its code. Any code that is in none of these sets is a failure.
_LOSSES = frozenset({"worker_lost", "killed"})
# A fault of the worker: another worker can run the job.
_LOCAL = frozenset({"no_box", "no_child", "worker_disk_full", "worker_disk_error"})
# A fault of the service: no worker can run any job, and none claims one until the fault is fixed.
_CONDITIONS = frozenset({"volume_full", "volume_error", "data_missing"})
# An attempt that resumes from the last resume point would end in the same way.
_FAILS_AGAIN = frozenset({"data_changed", "diverged"})

_TOO_MANY_FILES = JobError(
    code="files_too_large",
    message="the program left more than FITSTOP_PROGRAM_FILES_BYTES, or more than 100,000 files, in its folder",
)

# A script can send the signal to its own process, which would otherwise begin again and again.
_STOPPED_BY_ANOTHER = JobError(
    code="killed", message="the training process was stopped by SIGTERM, which its worker had not sent"
)

_NO_HEARTBEAT = JobError(
    code="killed",
    message="the training process saw no heartbeat of its worker for too long and stopped itself: the machine was "
    "frozen or overloaded",
)

# How long a job that was handed back with an error waits, so that workers do not take it in a busy loop.
_LEAST_REST_SECONDS = 0.1
_MOST_REST_SECONDS = 30
_MOST_DOUBLINGS = 20
_MOST_UNCHARGED_OF_PROGRAM = 1.0

log = logging.getLogger(__name__)


class Exit(NamedTuple):
    """How a child ended: its exit code, negative for a signal as in `subprocess`, and why its worker killed it, if so.

    `place`: the position of its last pulse. `out_of_memory_kills`: kills by the kernel while it ran. `has_begun`:
    whether it reported that its training program runs; before, it reads nothing of the job. `seconds`: from the claim
    until the worker saw that it had ended. `was_asked`: whether its worker asked it to stop.
    """

    code: int | None
    was_killed_because: str | None = None
    place: str | None = None
    out_of_memory_kills: int = 0
    has_begun: bool = True
    seconds: float = 0.0
    was_asked: bool = False


def decide(attempt: AttemptFolder, child: Exit, settings: Settings) -> AttemptEnd:
    """The attempt's end, from the child's own conclusion if there is one, else from how its process ended."""
    conclusion = None if child.was_killed_because == "files" else _conclusion_of(attempt)
    if conclusion is not None:
        return _concluded(attempt, conclusion, child, settings).model_copy(update=_charge(attempt, conclusion, child))
    if attempt.job.cancel() is not None:
        return _finished(Ending(status="cancelled", stop=_stop(attempt, "cancelled")))
    if child.was_killed_because == "drain":
        return _handed_back(attempt)
    if child.was_killed_because == "files":
        return _finished(Ending(status="failed", stop=_stop(attempt, "error"), error=_TOO_MANY_FILES))
    return failed_attempt(attempt, _death(attempt, child), settings, place=child.place)


def _charge(attempt: AttemptFolder, conclusion: Conclusion, child: Exit) -> dict[str, float]:
    """The charged and the uncharged seconds of the attempt.

    The process itself reports how many seconds are charged. A script runs in the same process and could falsify this,
    so its uncharged time has a maximum.
    """
    if conclusion.held_seconds is None:
        return {}
    held = min(conclusion.held_seconds, child.seconds)
    if runs_program(attempt.job):
        held = max(held, child.seconds - _MOST_UNCHARGED_OF_PROGRAM)
    return {"held_seconds": held, "uncharged_seconds": round(child.seconds - held, 6)}


def _conclusion_of(attempt: AttemptFolder) -> Conclusion | None:
    """The child's own conclusion; None if it is damaged."""
    try:
        return attempt.conclusion()
    except UnusableDocument as error:
        log.error("%s attempt %d: %s", attempt.job.id, attempt.number, error)
        return None


def failed_attempt(
    attempt: AttemptFolder, error: JobError, settings: Settings, *, place: str | None = None
) -> AttemptEnd:
    """The end of an attempt that ended with `error`: the job is queued again, or has failed.

    Errors of the worker or the volume do not count. Losses count up to `max_losses` and failures up to `max_failures`,
    in a row without progress. After each failure the job waits twice as long as before. If the memory is exceeded at
    the same position twice, the job has failed, since a third attempt would end there, too.
    """
    broken = _Broken(attempt, error, place, made_progress(attempt))
    if error.code in _LOSSES:
        return _lost(broken, settings)
    if error.code in _LOCAL or error.code in _CONDITIONS:
        return _handed_back_for(broken, settings)
    return _failed(broken, settings)


def lost_attempt(attempt: AttemptFolder, settings: Settings, *, is_gone: bool = False) -> AttemptEnd:
    """The end of an attempt whose worker sent no heartbeat for too long, or whose processes have exited (`is_gone`)."""
    silence = f"sent no heartbeat for {settings.take_over_seconds:g} s: its machine or its network is down"
    message = f"{_worker_of(attempt)} {'ended without a report' if is_gone else silence}"
    end = failed_attempt(attempt, JobError(code="worker_lost", message=message), settings)
    return end.model_copy(update={"held_seconds": held_by_last_beat(attempt, settings.heartbeat_seconds)})


class _Broken(NamedTuple):
    """An attempt that ended with an error."""

    attempt: AttemptFolder
    error: JobError
    place: str | None
    has_progress: bool

    def end(self, **facts: Any) -> AttemptEnd:
        facts = {"error": self.error, "place": self.place, "has_progress": self.has_progress, **facts}
        return AttemptEnd.model_validate({"ended_at": utc_now(), **facts})

    def row(self, counts: Counts) -> list[AttemptFolder]:
        """The attempts of this kind (`counts`) in a row without progress, newest first."""
        until_now = [other for other in self.attempt.job.attempts() if other.number <= self.attempt.number]
        before = since_progress(with_ends(until_now), counts)
        return before if self.has_progress else [self.attempt, *before]

    def final(self, error: JobError) -> Ending:
        return Ending(status="failed", stop=_stop(self.attempt, "error"), error=_with_a_way_on(self.attempt.job, error))


def _handed_back_for(broken: _Broken, settings: Settings) -> AttemptEnd:
    """The end of an attempt that is handed back for an error; it does not count."""
    doublings = min(_times_before(broken.attempt, broken.error), _MOST_DOUBLINGS)
    rest = min(max(settings.retry_backoff_seconds, _LEAST_REST_SECONDS) * 2**doublings, _MOST_REST_SECONDS)
    return broken.end(outcome="handed_back", retry_at=time_in(rest))


def _lost(broken: _Broken, settings: Settings) -> AttemptEnd:
    row = broken.row(is_loss)
    ending = None
    if len(row) >= settings.max_losses:
        ending = broken.final(_lost_too_often(row, broken.error))
    return broken.end(outcome="lost", is_loss=True, ending=ending)


def _lost_too_often(row: list[AttemptFolder], last: JobError) -> JobError:
    workers = Counter(map(_worker_of, reversed(row)))
    names = ", ".join(f"{worker} ({times} times)" if times > 1 else worker for worker, times in workers.items())
    lost = f"{len(row)} attempts in a row were" if len(row) > 1 else "an attempt was"
    return JobError(code="worker_lost", message=f"{lost} lost without progress, on {names}; the last: {last.message}")


def _failed(broken: _Broken, settings: Settings) -> AttemptEnd:
    failures = len(broken.row(is_failure))
    ending, retry_at = None, None
    if failures >= settings.max_failures or _is_same_shortage(broken):
        ending = broken.final(_failed_too_often(broken.error, failures))
    else:
        doublings = 0 if broken.has_progress else failures - 1
        backoff = min(settings.retry_backoff_seconds * 2**doublings, MOST_BACKOFF_SECONDS)
        if broken.error.code == DATA_LARGER_THAN_MEMORY:
            # A worker with more memory need not wait (`worker/supervisor/claim.py`). The others give it the time.
            backoff = MOST_BACKOFF_SECONDS
        retry_at = time_in(backoff)
    return broken.end(outcome="failed", is_failure=True, ending=ending, retry_at=retry_at)


def _failed_too_often(error: JobError, failures: int) -> JobError:
    if failures <= 1:
        return error
    last = f"{error.message} (the last of {failures} failed attempts in a row without progress)"
    return JobError(code=error.code, message=last)


def _with_a_way_on(job: JobFolder, error: JobError) -> JobError:
    """The error of a failed job, with the ways to continue from what it has trained."""
    source, record = with_points(job), job.record()
    if source is None or record is None or record.task is None or error.code in _FAILS_AGAIN:
        return error  # a job that runs a program cannot be extended
    place = place_of(points_of(source)[0])
    way_on = f"`extend` continues from its last resume point, in epoch {place.epochs + 1}; `retry` starts at epoch 1"
    return JobError(code=error.code, message=f"{error.message.rstrip('.')}. {way_on}")


def _concluded(attempt: AttemptFolder, conclusion: Conclusion, child: Exit, settings: Settings) -> AttemptEnd:
    ending = conclusion.ending
    if ending is None and (child.was_asked or conclusion.wants_restart):
        return _handed_back(attempt)
    if ending is None:
        return failed_attempt(attempt, _STOPPED_BY_ANOTHER, settings, place=child.place)
    if ending.status != "failed" or ending.error is None:
        return _finished(ending)
    if conclusion.may_retry:
        return failed_attempt(attempt, ending.error, settings, place=conclusion.place)
    return _finished(ending.model_copy(update={"error": _with_a_way_on(attempt.job, ending.error)}))


def _handed_back(attempt: AttemptFolder) -> AttemptEnd:
    return AttemptEnd(outcome="handed_back", ended_at=utc_now(), has_progress=made_progress(attempt))


def _finished(ending: Ending) -> AttemptEnd:
    return AttemptEnd(outcome="finished", ended_at=utc_now(), error=ending.error, ending=ending)


def _death(attempt: AttemptFolder, child: Exit) -> JobError:
    """The error of a child that ended without a conclusion."""
    if not child.has_begun and child.code not in CODE_OF_STATUS:
        how = "did not start in time" if child.was_killed_because == "hang" else f"ended with status {child.code}"
        return JobError(code="no_child", message=f"the worker's training process {how}, before it read the job")
    if child.was_killed_because == "hang":
        message = "no batch finished for too long; the stacks of its threads are in output.log"
        return JobError(code="hang", message=message)
    if child.code is not None and child.code < 0:
        return _death_by_signal(attempt, child, -child.code)
    if (code := CODE_OF_STATUS.get(child.code or 0)) is not None:
        return JobError(code=code, message=storage_message(code))
    if child.code == SUPERSEDED:
        return _NO_HEARTBEAT
    message = f"the training process ended with status {child.code} and without a conclusion"
    return JobError(code="no_conclusion", message=message)


def _death_by_signal(attempt: AttemptFolder, child: Exit, number: int) -> JobError:
    name = _signal_name(number)
    if number in {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}:
        return JobError(code="crash", message=f"the training process crashed ({name})")
    if number == signal.SIGABRT:
        return JobError(code="crash", message="the training process aborted (SIGABRT), often because memory ran out")
    is_over_limit = child.was_killed_because == "memory"
    if is_over_limit or (child.out_of_memory_kills and child.was_killed_because is None):
        if not _has_data(attempt):
            return data_shortage(attempt)
        what = "exceeded its memory limit" if is_over_limit else "was killed by the kernel because memory ran out"
        message = f"the training process {what}; a smaller batch_size helps"
        return JobError(code="out_of_memory_host", message=message)
    return JobError(code="killed", message=f"the training process was killed ({name})")


def _has_data(attempt: AttemptFolder) -> bool:
    """Whether the attempt reported that its data was loaded, or an epoch."""
    return any(last_event(attempt, kind) is not None for kind in ("data", "epoch"))


def _times_before(attempt: AttemptFolder, error: JobError) -> int:
    """How many attempts in a row before this one were handed back for the same reason."""
    codes = [end.error.code if end.error and end.outcome == "handed_back" else None for end in _ends_before(attempt)]
    return len(list(takewhile(lambda code: code == error.code, reversed(codes))))


def _is_same_shortage(broken: _Broken) -> bool:
    """Whether the failure before this one was out of memory at the same position."""
    if not broken.error.code.startswith("out_of_memory"):
        return False
    failures = [end for end in _ends_before(broken.attempt) if end.counts_as_failure]
    last = failures[-1] if failures else None
    return (
        last is not None
        and last.error is not None
        and (last.error.code, last.place) == (broken.error.code, broken.place)
    )


def _worker_of(attempt: AttemptFolder) -> str:
    claim = attempt.claim()
    return f"worker {claim.owner} on {claim.host}" if claim else "a worker"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _stop(attempt: AttemptFolder, reason: str) -> Stop:
    return stop_after_events(attempt.job, attempt.job.record(), reason)


def _ends_before(attempt: AttemptFolder) -> list[AttemptEnd]:
    before = [other.end() for other in attempt.job.attempts() if other.number < attempt.number]
    return [end for end in before if end is not None]
