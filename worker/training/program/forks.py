"""Processes that a script starts. They are ordinary Python processes: only the training process trains and reports."""

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from worker.training.program.between_calls import BetweenCalls
from worker.training.stop_requests import StopRequests

# Their methods handle signals of the training process.
_LISTENERS = (BetweenCalls, StopRequests)


def start_processes_as_plain_python() -> None:
    """Let a script's processes start and end as those of plain Python, and not as a worker's training process."""
    multiprocessing.set_start_method(None, force=True)
    _restore_signals_in_forks()


@cache
def _restore_signals_in_forks() -> None:
    os.register_at_fork(after_in_child=_restore_signals)


def _restore_signals() -> None:
    """End at a SIGTERM, such as that of `Pool.terminate`, which the training process only notes."""
    for number in (signal.SIGTERM, signal.SIGUSR1):
        if isinstance(getattr(signal.getsignal(number), "__self__", None), _LISTENERS):
            signal.signal(number, signal.SIG_DFL)


class TrainingProcess:
    """The process that was the training process when this object was made."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether this process is the training process, and not a fork of it."""
        return os.getpid() == self._pid

    @contextmanager
    def end_forks(self) -> Iterator[None]:
        """End a fork where the script ends in it, with the exit status that Python would give it."""
        status = 0
        try:
            yield
        except BaseException as error:
            if self.is_here:
                raise
            status = _status_of(error)
        if not self.is_here:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


def _status_of(error: BaseException) -> int:
    """The exit status that Python has after this error, whose traceback it prints."""
    if not isinstance(error, SystemExit):
        traceback.print_exception(error)
        return 1
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    sys.stderr.write(f"{error.code}\n")
    return 1
