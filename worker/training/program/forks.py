"""Processes that a script forks. They are ordinary Python processes: only the training process trains and reports."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager


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
