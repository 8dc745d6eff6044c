"""A thread that writes while training continues: in order, and with little delay.

Its tasks use only snapshots. Its errors are raised in the run's own thread, at the next task or at `finish`. After an
error nothing more is written, so that no resume point follows a checkpoint that failed.
"""

import threading
import time
from collections.abc import Callable
from queue import Queue
from types import TracebackType
from typing import Self

from worker.training.recent import RecentSeconds

Write = Callable[[], None]

# A checkpoint and the resume point after it may wait; a caller that brings more waits.
MOST_WAITING = 2


class BackgroundWriter:
    """As a context manager: after a normal exit everything is written; after an error no new task starts.

    `unfinished` is the number of running and waiting tasks; `seconds` is the duration of one.
    """

    def __init__(self) -> None:
        self._waiting: Queue[Write | None] = Queue(MOST_WAITING)
        self._error: BaseException | None = None
        self._has_given_up = False
        self.unfinished = 0
        self._lock = threading.Lock()
        self.seconds = RecentSeconds()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether a task runs or waits."""
        return self.unfinished > 0

    def write(self, what: Write) -> None:
        """Run `what` after all earlier tasks. Raises the error of an earlier one."""
        self._raise()
        with self._lock:
            self.unfinished += 1
        self._waiting.put(what)

    def finish(self) -> None:
        """Wait until everything is written. Raises the error of any task."""
        self._waiting.join()
        self._raise()

    def give_up(self) -> None:
        """Start no further task: the attempt is no longer ours, or has its conclusion."""
        self._has_given_up = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.give_up()
        self._waiting.put(None)
        self._thread.join()
        if error is None:
            self._raise()

    def _work(self) -> None:
        while (what := self._waiting.get()) is not None:
            began = time.monotonic()
            try:
                if self._error is None and not self._has_given_up:
                    what()
            except BaseException as error:
                self._error = error
            self.seconds.add(time.monotonic() - began)
            with self._lock:
                self.unfinished -= 1
            self._waiting.task_done()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
