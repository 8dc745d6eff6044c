"""Watches a script while it is outside `fit`: reports to the worker that it is alive, and stops it on request.

Inside `fit` the run's callbacks do both. Outside, a thread checks every half second. It stops the script by a signal to
the main thread, whose handler raises an exception.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from worker.training.context import RunContext
from worker.training.errors import Superseded, TrainingStopped

_LOOK_SECONDS = 0.5
_SIGNAL = signal.SIGUSR1


class Unwind(BaseException):
    """Ends the script wherever it is. Not an Exception, which the script might catch."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class BetweenCalls:
    """Runs the checks while its context, which is around the script, is open."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._is_in_fit = False
        self._cause: Exception | None = None
        self._over = threading.Event()
        self._main = threading.main_thread().ident or 0

    @contextmanager
    def in_fit(self) -> Iterator[None]:
        """Pause the checks: inside `fit` the run's callbacks do them."""
        self._is_in_fit = True
        try:
            yield
        finally:
            self._is_in_fit = False

    def __enter__(self) -> Self:
        self._before = signal.signal(_SIGNAL, self._interrupt)
        self._thread = threading.Thread(target=self._watch, name="between calls", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._cause = None
        self._thread.join()
        signal.signal(_SIGNAL, self._before)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            if self._is_in_fit:
                continue
            try:
                self._run.keep_alive()
            except (TrainingStopped, Superseded) as cause:
                self._cause = cause
                signal.pthread_kill(self._main, _SIGNAL)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if self._cause is not None and not self._is_in_fit:
            raise Unwind(self._cause)
