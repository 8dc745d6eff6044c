"""How an attempt ended, decided from what is on the volume and how the process ended; never from a status alone.

`end.json` is the moment of decision: of the attempt's owner and whoever thinks it lost, one creates it. The job's
`result.json` only follows from it, and anybody may write it.
"""

import signal
from typing import NamedTuple

from shared.job import AttemptEnd, Conclusion, Ending, JobError, Stop
from shared.job_folder import AttemptFolder
from shared.settings import Settings
from shared.times import time_in, utc_now

_MOST_BACKOFF_SECONDS = 300


class Exit(NamedTuple):
    """How a child ended: its exit code, negative for a signal as in `subprocess`, and whether its worker killed it."""

    code: int | None
    was_killed_because: str | None = None


def decide(attempt: AttemptFolder, child: Exit, settings: Settings) -> AttemptEnd:
    """The attempt's end, from the child's own conclusion where it left one, else from how it died."""
    conclusion = attempt.conclusion()
    if conclusion is not None:
        return _concluded(attempt, conclusion, settings)
    if attempt.job.cancel() is not None:
        stop = Stop(reason="cancelled", epochs_not_run=_epochs(attempt))
        return _finished(Ending(status="cancelled", stop=stop))
    if child.was_killed_because == "drain":
        return AttemptEnd(outcome="handed_back", ended_at=utc_now())
    return failed_attempt(attempt, _death(child), settings, outcome="failed")


def failed_attempt(
    attempt: AttemptFolder, error: JobError, settings: Settings, *, outcome: str = "failed", may_retry: bool = True
) -> AttemptEnd:
    """The end of an attempt that failed: the job is queued again after a while, up to `max_failures` times."""
    failures = 1 + sum(1 for end in _ends_before(attempt) if end.is_failure)
    again = may_retry and failures < settings.max_failures
    ending = None if again else Ending(status="failed", stop=_error_stop(attempt), error=_final(error, failures))
    backoff = min(settings.retry_backoff_seconds * 2 ** (failures - 1), _MOST_BACKOFF_SECONDS)
    return AttemptEnd.model_validate(
        {
            "outcome": outcome,
            "ended_at": utc_now(),
            "error": error,
            "is_failure": True,
            "retry_at": time_in(backoff) if again else None,
            "ending": ending,
        }
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
        return failed_attempt(attempt, ending.error, settings)
    return _finished(ending)


def _finished(ending: Ending) -> AttemptEnd:
    return AttemptEnd(outcome="finished", ended_at=utc_now(), error=ending.error, ending=ending)


def _death(child: Exit) -> JobError:
    """A code and a message for a child that ended without a word."""
    if child.was_killed_because == "hang":
        return JobError(code="hang", message="the training process did not end when it was asked to, and was killed")
    if child.code is not None and child.code < 0:
        name = _signal_name(-child.code)
        if -child.code in {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}:
            return JobError(code="crash", message=f"the training process crashed ({name})")
        if -child.code == signal.SIGABRT:
            return JobError(code="crash", message="the training process aborted (SIGABRT), often for want of memory")
        message = f"the training process was killed ({name}); where nobody did so, the machine was out of memory"
        return JobError(code="killed", message=message)
    return JobError(
        code="no_conclusion", message=f"the training process ended with status {child.code} and without a word"
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _final(error: JobError, failures: int) -> JobError:
    if failures == 1:
        return error
    return JobError(code=error.code, message=f"{error.message} (the last of {failures} failed attempts)")


def _error_stop(attempt: AttemptFolder) -> Stop:
    return Stop(reason="error", epochs_not_run=_epochs(attempt))


def _epochs(attempt: AttemptFolder) -> int:
    record = attempt.job.record()
    return record.spec.hyperparameters.epochs if record else 0


def _ends_before(attempt: AttemptFolder) -> list[AttemptEnd]:
    before = [other.end() for other in attempt.job.attempts() if other.number < attempt.number]
    return [end for end in before if end is not None]
