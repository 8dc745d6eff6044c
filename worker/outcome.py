"""How an attempt ended, decided from what is on the volume and how the process ended; never from a status alone.

`end.json` is the moment of decision: of the attempt's owner and whoever thinks it lost, one creates it. The job's
`result.json` only follows from it, and anybody may write it.
"""

import signal
from collections import Counter
from typing import Any, NamedTuple

from shared.attempts import Counts, is_failure, is_loss, since_progress, with_ends
from shared.backoff import MOST_BACKOFF_SECONDS
from shared.events import epochs_done
from shared.job import AttemptEnd, Conclusion, Ending, JobError, Stop
from shared.job_folder import AttemptFolder, JobFolder
from shared.points import made_progress, place_of, points_of, with_points
from shared.settings import Settings
from shared.times import time_in, utc_now

# How an attempt counts that broke off, by the code of its error: whatever is in none of these is a failure.
_LOSSES = frozenset({"worker_lost", "killed"})
# The worker's own sickness: another one can do the job.
_LOCAL = frozenset({"no_child", "worker_disk_full", "worker_disk_error"})
# The service's: no worker can do any job.
_CONDITIONS = frozenset({"volume_full", "volume_error", "data_missing"})
# Whoever continues from the last resume point meets the same end.
_FAILS_AGAIN = frozenset({"data_changed", "diverged"})

# Before a job that was handed back with an error is taken again: nobody is to be kept busy with taking it.
_PAUSE_SECONDS = 1
# The training program's own status where the volume would not take its conclusion.
_VOLUME_FAILED = 4
# What multiprocessing says of a child whose fork server died before it could tell the child's own status.
_FORK_SERVER_DIED = 255


class Exit(NamedTuple):
    """How a child ended: its exit code, negative for a signal as in `subprocess`, and whether its worker killed it.

    `place` is where its last pulse came from; `out_of_memory_kills` how often the kernel killed meanwhile.
    """

    code: int | None
    was_killed_because: str | None = None
    place: str | None = None
    out_of_memory_kills: int = 0


def decide(attempt: AttemptFolder, child: Exit, settings: Settings) -> AttemptEnd:
    """The attempt's end, from the child's own conclusion where it left one, else from how it died."""
    conclusion = attempt.conclusion()
    if conclusion is not None:
        return _concluded(attempt, conclusion, settings)
    if attempt.job.cancel() is not None:
        return _finished(Ending(status="cancelled", stop=_stop(attempt, "cancelled")))
    if child.was_killed_because == "drain":
        return _handed_back(attempt)
    return failed_attempt(attempt, _death(child), settings, place=child.place)


def failed_attempt(
    attempt: AttemptFolder, error: JobError, settings: Settings, *, place: str | None = None
) -> AttemptEnd:
    """The end of an attempt that broke off with `error`: the job is queued again, or has failed.

    What is the worker's or the volume's fault counts nothing. A loss counts against `max_losses` and a failure against
    `max_failures`, in a row without progress; a failure waits for twice as long as the one before it. Out of memory at
    the same place twice is final: a third attempt would end there too.
    """
    broken = _Broken(attempt, error, place, made_progress(attempt))
    if error.code in _LOSSES:
        return _lost(broken, settings)
    if error.code in _LOCAL or error.code in _CONDITIONS:
        return broken.end(outcome="handed_back", retry_at=time_in(_PAUSE_SECONDS))
    return _failed(broken, settings)


def lost_attempt(attempt: AttemptFolder, settings: Settings, *, is_gone: bool = False) -> AttemptEnd:
    """The end of an attempt whose worker has been silent for too long, or whose process `is_gone`."""
    silence = f"gave no heartbeat for {settings.take_over_seconds:g} s: its machine or its network is gone"
    message = f"{_worker_of(attempt)} {'has ended without a word' if is_gone else silence}"
    return failed_attempt(attempt, JobError(code="worker_lost", message=message), settings)


class _Broken(NamedTuple):
    """An attempt that broke off."""

    attempt: AttemptFolder
    error: JobError
    place: str | None
    has_progress: bool

    def end(self, **facts: Any) -> AttemptEnd:
        facts = {"error": self.error, "place": self.place, "has_progress": self.has_progress, **facts}
        return AttemptEnd.model_validate({"ended_at": utc_now(), **facts})

    def row(self, counts: Counts) -> list[AttemptFolder]:
        """The attempts that count in a row without progress, newest first."""
        until_now = [other for other in self.attempt.job.attempts() if other.number <= self.attempt.number]
        before = since_progress(with_ends(until_now), counts)
        return before if self.has_progress else [self.attempt, *before]

    def final(self, error: JobError) -> Ending:
        return Ending(status="failed", stop=_stop(self.attempt, "error"), error=_with_a_way_on(self.attempt.job, error))


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
        retry_at = time_in(min(settings.retry_backoff_seconds * 2**doublings, MOST_BACKOFF_SECONDS))
    return broken.end(outcome="failed", is_failure=True, ending=ending, retry_at=retry_at)


def _failed_too_often(error: JobError, failures: int) -> JobError:
    if failures <= 1:
        return error
    last = f"{error.message} (the last of {failures} failed attempts in a row without progress)"
    return JobError(code=error.code, message=last)


def _with_a_way_on(job: JobFolder, error: JobError) -> JobError:
    """The error of a job that has failed, and what can be done with what it has trained."""
    source = with_points(job)
    if source is None or error.code in _FAILS_AGAIN:
        return error
    place = place_of(points_of(source)[0])
    way_on = f"`extend` continues from its last resume point, in epoch {place.epochs + 1}; `retry` starts at epoch 1"
    return JobError(code=error.code, message=f"{error.message.rstrip('.')}. {way_on}")


def _concluded(attempt: AttemptFolder, conclusion: Conclusion, settings: Settings) -> AttemptEnd:
    ending = conclusion.ending
    if ending is None:
        return _handed_back(attempt)
    if ending.status != "failed" or ending.error is None:
        return _finished(ending)
    if conclusion.may_retry:
        return failed_attempt(attempt, ending.error, settings, place=conclusion.place)
    return _finished(ending.model_copy(update={"error": _with_a_way_on(attempt.job, ending.error)}))


def _handed_back(attempt: AttemptFolder) -> AttemptEnd:
    return AttemptEnd(outcome="handed_back", ended_at=utc_now(), has_progress=made_progress(attempt))


def _finished(ending: Ending) -> AttemptEnd:
    return AttemptEnd(outcome="finished", ended_at=utc_now(), error=ending.error, ending=ending)


def _death(child: Exit) -> JobError:
    """A code and a message for a child that ended without a word."""
    if child.was_killed_because == "hang":
        message = "no batch ended for too long; the stacks of its threads are in output.log"
        return JobError(code="hang", message=message)
    if child.code is not None and child.code < 0:
        return _death_by_signal(child, -child.code)
    if child.code == _VOLUME_FAILED:
        return JobError(code="volume_full", message="the volume did not take what the training process had to write")
    if child.code == _FORK_SERVER_DIED:
        return JobError(code="killed", message="the fork server was killed, and the training process with it")
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


def _is_same_shortage(broken: _Broken) -> bool:
    """Whether the failure before this one was for want of memory at the same place."""
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
    """The stop of a run that could not say anything itself: how far it had told to be."""
    record = attempt.job.record()
    last_epoch = epochs_done(attempt.job)
    epochs = record.spec.hyperparameters.epochs if record else last_epoch
    return Stop(reason=reason, last_epoch=last_epoch, epochs_not_run=epochs - last_epoch)


def _ends_before(attempt: AttemptFolder) -> list[AttemptEnd]:
    before = [other.end() for other in attempt.job.attempts() if other.number < attempt.number]
    return [end for end in before if end is not None]
