"""The heartbeat of an attempt:

a counter in `heartbeat.json`, rewritten every few seconds by a separate thread. Clocks are never compared: other
workers declare an attempt lost when the counter has not changed for a while by their own clock, so this worker stops
its child well before that.
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

    `is_lost` becomes true, permanently, when no heartbeat reached the volume for `self_stop_seconds`, or another worker
    has ended the attempt. `since`: the moment before the claim, by this machine's monotonic clock, from which others
    measure until the first heartbeat.
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
        """How long the attempt has held its device, by its last beat that reached the volume and one interval more."""
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
        # A worker that was frozen for too long must not beat again as if nothing had been: others take over by now.
        if self.is_lost or self._attempt.end_file.exists():
            self._is_given_up = True
            return
        began = self._writing_since = time.monotonic()
        self._count += 1
        try:
            write_beat(self._attempt, Beat(self._count, began, round(began - self._claimed, 6)))
        finally:
            self._writing_since = None
        # So a beat proves that none before it came too late: its write would have been the last.
        self._is_given_up = self._is_late()
        self._error = None
        # The moment before the write: only then is a slow volume sure not to make others see an older beat.
        self._last_good = began

    def _is_late(self) -> bool:
        return time.monotonic() - self._last_good > self._settings.self_stop_seconds
