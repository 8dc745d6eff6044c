"""How an attempt ended, decided from what is on the volume and how the process ended; never from a status alone.

`end.json` is the moment of decision: of the attempt's owner and whoever thinks it lost, one creates it. The job's
`result.json` only follows from it, and anybody may write it.
"""

import signal
from itertools import takewhile
from typing import NamedTuple

from shared.events import epochs_done
from shared.job import AttemptEnd, Conclusion, Ending, JobError, Stop
from shared.job_folder import AttemptFolder
from shared.settings import Settings
from shared.storage import CODE_OF_STATUS, storage_message
from shared.times import time_in, utc_now

MOST_BACKOFF_SECONDS = 300
# Of the service, not of the job that met it: the attempt counts nothing, and workers claim nothing until it is over.
SERVICE_CONDITIONS = frozenset({"volume_full", "volume_error", "data_missing"})
_HANDED_BACK = SERVICE_CONDITIONS | {"no_child", "worker_disk_full", "worker_disk_error"}
# Only so that a job does not circle without rest.
_MOST_REST_SECONDS = 30


class Exit(NamedTuple):
    """How a child ended: its exit code, negative for a signal as in `subprocess`, and whether its worker killed it.

    `place` is where its last pulse came from; `out_of_memory_kills` how often the kernel killed meanwhile. `has_begun`:
    whether it said that its training program runs, before which it reads nothing of the job.
    """

    code: int | None
    was_killed_because: str | None = None
    place: str | None = None
    out_of_memory_kills: int = 0
    has_begun: bool = True


def decide(attempt: AttemptFolder, child: Exit, settings: Settings) -> AttemptEnd:
    """The attempt's end, from the child's own conclusion where it left one, else from how it died."""
    conclusion = attempt.conclusion()
    if conclusion is not None:
        return _concluded(attempt, conclusion, settings)
    if attempt.job.cancel() is not None:
        return _finished(Ending(status="cancelled", stop=_stop(attempt, "cancelled")))
    if child.was_killed_because == "drain":
        return AttemptEnd(outcome="handed_back", ended_at=utc_now())
    return failed_attempt(attempt, _death(child), settings, place=child.place)


def failed_attempt(
    attempt: AttemptFolder,
    error: JobError,
    settings: Settings,
    *,
    outcome: str = "failed",
    place: str | None = None,
) -> AttemptEnd:
    """The end of an attempt that failed: the job is queued again after a while, up to `max_failures` times.

    Out of memory at the same place twice is final: a third attempt would end there too. What is no fault of the job
    hands it back.
    """
    if error.code in _HANDED_BACK:
        return handed_back(attempt, error, settings, place=place)
    before = [end for end in _ends_before(attempt) if end.is_failure]
    failures = 1 + len(before)
    again = failures < settings.max_failures and not _is_same_shortage(before, error, place)
    ending = None if again else Ending(status="failed", stop=_stop(attempt, "error"), error=_final(error, failures))
    backoff = min(settings.retry_backoff_seconds * 2 ** (failures - 1), MOST_BACKOFF_SECONDS)
    return AttemptEnd.model_validate(
        {
            "outcome": outcome,
            "ended_at": utc_now(),
            "error": error,
            "is_failure": True,
            "retry_at": time_in(backoff) if again else None,
            "place": place,
            "ending": ending,
        }
    )


def handed_back(attempt: AttemptFolder, error: JobError, settings: Settings, *, place: str | None = None) -> AttemptEnd:
    """The end of an attempt that its surroundings ended: it counts nothing, and the job is queued again."""
    rest = min(settings.retry_backoff_seconds * 2 ** _times_before(attempt, error), _MOST_REST_SECONDS)
    return AttemptEnd(
        outcome="handed_back", ended_at=utc_now(), error=error, retry_at=time_in(rest) if rest else None, place=place
    )


def lost_attempt(attempt: AttemptFolder, settings: Settings) -> AttemptEnd:
    """The end of an attempt whose worker has been silent for too long."""
    message = f"no heartbeat of its worker for {settings.take_over_seconds:g} s: its machine or its network is gone"
    return failed_attempt(attempt, JobError(code="worker_lost", message=message), settings, outcome="lost")


def _concluded(attempt: AttemptFolder, conclusion: Conclusion, settings: Settings) -> AttemptEnd:
    ending = conclusion.ending
    if ending is None:
        return AttemptEnd(outcome="handed_back", ended_at=utc_now())
    if ending.status == "failed" and ending.error is not None and conclusion.may_retry:
        return failed_attempt(attempt, ending.error, settings, place=conclusion.place)
    return _finished(ending)


def _finished(ending: Ending) -> AttemptEnd:
    return AttemptEnd(outcome="finished", ended_at=utc_now(), error=ending.error, ending=ending)


def _death(child: Exit) -> JobError:
    """A code and a message for a child that ended without a word."""
    if not child.has_begun and child.code not in CODE_OF_STATUS:
        how = "did not begin in time" if child.was_killed_because == "hang" else f"ended with status {child.code}"
        return JobError(code="no_child", message=f"the worker's training process {how}, before it read the job")
    if child.was_killed_because == "hang":
        message = "no batch ended for too long; the stacks of its threads are in output.log"
        return JobError(code="hang", message=message)
    if child.code is not None and child.code < 0:
        return _death_by_signal(child, -child.code)
    if (code := CODE_OF_STATUS.get(child.code or 0)) is not None:
        return JobError(code=code, message=storage_message(code))
    message = f"the training process ended with status {child.code} and without a word"
    return JobError(code="no_conclusion", message=message)


def _death_by_signal(child: Exit, number: int) -> JobError:
    name = _signal_name(number)
    if number in {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}:
        return JobError(code="crash", message=f"the training process crashed ({name})")
    if number == signal.SIGABRT:
        return JobError(code="crash", message="the training process aborted (SIGABRT), often for want of memory")
    if child.out_of_memory_kills and child.was_killed_because is None:
        message = "the kernel killed the training process for want of memory; a smaller batch_size helps"
        return JobError(code="out_of_memory_host", message=message)
    return JobError(code="killed", message=f"the training process was killed ({name})")


def _times_before(attempt: AttemptFolder, error: JobError) -> int:
    """How many attempts in a row before this one were handed back for the same reason."""
    codes = [end.error.code if end.error and end.outcome == "handed_back" else None for end in _ends_before(attempt)]
    return len(list(takewhile(lambda code: code == error.code, reversed(codes))))


def _is_same_shortage(before: list[AttemptEnd], error: JobError, place: str | None) -> bool:
    if not before or not error.code.startswith("out_of_memory"):
        return False
    last = before[-1]
    return last.error is not None and last.error.code == error.code and last.place == place


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _final(error: JobError, failures: int) -> JobError:
    if failures == 1:
        return error
    return JobError(code=error.code, message=f"{error.message} (the last of {failures} failed attempts)")


def _stop(attempt: AttemptFolder, reason: str) -> Stop:
    """The stop of a run that could not say anything itself: how far it had told to be."""
    record = attempt.job.record()
    last_epoch = epochs_done(attempt.job)
    epochs = record.spec.hyperparameters.epochs if record else last_epoch
    return Stop(reason=reason, last_epoch=last_epoch, epochs_not_run=epochs - last_epoch)


def _ends_before(attempt: AttemptFolder) -> list[AttemptEnd]:
    before = [other.end() for other in attempt.job.attempts() if other.number < attempt.number]
    return [end for end in before if end is not None]
