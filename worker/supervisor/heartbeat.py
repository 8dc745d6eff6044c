"""The heartbeat of an attempt: a counter in `heartbeat.json` that a thread writes every few seconds.

Clocks of machines are never compared. Another worker declares the attempt lost when the counter has not changed for a
while by its own clock, so this worker stops its child well before that.
"""

import errno
import logging
import os
import threading
import time
from typing import Self

from shared.job_folder import AttemptFolder
from shared.settings import Settings
from worker.ipc.beat import Beat, write_beat

log = logging.getLogger(__name__)


class Heartbeat:
    """Writes heartbeats while the context is open.

    `is_lost` becomes true, and stays so, when no heartbeat has reached the volume for `self_stop_seconds`, or another
    worker has ended the attempt. `since`: the moment before the claim, by this machine's monotonic clock, from which
    the time until the first heartbeat counts.
    """

    def __init__(self, attempt: AttemptFolder, settings: Settings, since: float) -> None:
        self._attempt = attempt
        self._settings = settings
        self._count = 0
        self._claimed = self._last_good = since
        self._stop = threading.Event()
        self._is_given_up = False
        self._error: OSError | None = None
        self._writing_since: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"heartbeat of {attempt.job.id}", daemon=True)

    @property
    def is_lost(self) -> bool:
        return self._is_given_up or self._is_late()

    @property
    def trouble(self) -> OSError | None:
        """Why the last heartbeat did not reach the volume, or that it hangs; None if it did."""
        since = self._writing_since
        if since is not None and time.monotonic() - since > self._settings.self_stop_seconds / 2:
            return TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), str(self._attempt.heartbeat_file))
        return self._error

    @property
    def held_seconds(self) -> float:
        """Seconds for which the attempt has held its device: until one interval after the last heartbeat written."""
        return round(self._last_good - self._claimed + self._settings.heartbeat_seconds, 6)

    def __enter__(self) -> Self:
        self._beat()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=self._settings.heartbeat_seconds)

    def _run(self) -> None:
        while not self._stop.wait(self._settings.heartbeat_seconds):
            try:
                self._beat()
            except OSError as error:
                self._error = error
                log.warning("no heartbeat of %s could be written to the volume: %s", self._attempt.job.id, error)

    def _beat(self) -> None:
        # A worker that was frozen for too long must send no more heartbeats, because others take over now.
        if self.is_lost or self._attempt.end_file.exists():
            self._is_given_up = True
            return
        began = self._writing_since = time.monotonic()
        self._count += 1
        try:
            write_beat(self._attempt, Beat(self._count, began, round(began - self._claimed, 6)))
        finally:
            self._writing_since = None
        # After a late write no heartbeat follows. So each heartbeat proves that none before it was late.
        self._is_given_up = self._is_late()
        self._error = None
        # The time before the write: on a slow volume, others may see the heartbeat at any moment after it.
        self._last_good = began

    def _is_late(self) -> bool:
        return time.monotonic() - self._last_good > self._settings.self_stop_seconds
