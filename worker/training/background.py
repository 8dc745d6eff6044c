"""A thread that writes checkpoints and resume points while training continues, in order.

Its tasks must use snapshots only. An error of a task is raised in the run's own thread, at the next `write` or at
`finish`. After an error nothing more is written, so no resume point follows a checkpoint that failed.
"""

import threading
import time
from collections.abc import Callable
from queue import Queue
from types import TracebackType
from typing import Self

from worker.training.recent import RecentSeconds

Write = Callable[[], None]

# A checkpoint and the resume point after it. Further calls of `write` block.
MOST_WAITING = 2


class BackgroundWriter:
    """Runs the writer thread. As a context manager: a normal exit waits for all tasks; after an error no task starts.

    `unfinished`: number of running and waiting tasks. `seconds`: durations of recent tasks.
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
        """Run `what` in the writer thread, after all earlier tasks. Raises the error of an earlier task."""
        self._raise()
        with self._lock:
            self.unfinished += 1
        self._waiting.put(what)

    def finish(self) -> None:
        """Wait until all tasks have ended. Raises the error of any task."""
        self._waiting.join()
        self._raise()

    def give_up(self) -> None:
        """Start no more tasks: the attempt belongs to another worker, or has ended."""
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
