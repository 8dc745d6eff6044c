"""Ends the training process when its worker's heartbeat stops, even in the middle of a batch.

Between two batches the run checks the heartbeat itself and stops in order (`stop_requests`). But a batch can take
longer than the time between the self-stop and the take-over, and a read blocks for as long as the volume hangs.
So one thread reads the heartbeat while the run computes. A second thread, which reads no file, ends the process if the
first has seen no new heartbeat for too long. Nothing is lost: after a take-over the attempt may write nothing anyway.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Self

from shared.durable import read_bytes
from shared.job_folder import AttemptFolder
from shared.settings import Settings
from worker.ipc.exit_statuses import SUPERSEDED

_LOOK_SECONDS = 0.5
# If this much time has passed between two checks, the process or the machine was frozen.
_FROZEN_SECONDS = 2.0


class HeartbeatWatchdog:
    """Runs the two threads while its context is open. Times are by this process's own monotonic clock.

    The limit is halfway between the self-stop and the take-over, so that a run that can check the heartbeat itself has
    time to stop in order. A process that was frozen gets time for one more heartbeat. A heartbeat file that has
    disappeared counts as one that does not change. If there never was one, because the program was started by hand,
    the process is never ended.

    `end` ends this process at once, with the exit status SUPERSEDED.
    """

    def __init__(
        self, attempt: AttemptFolder, settings: Settings, end: Callable[[], None] = lambda: os._exit(SUPERSEDED)
    ) -> None:
        self._attempt = attempt
        self._end = end
        self._limit_seconds = (settings.self_stop_seconds + settings.take_over_seconds) / 2
        self._next_beat_seconds = 2 * settings.heartbeat_seconds
        self._looked = self._judged = time.monotonic()
        self._holds_until = self._looked + self._limit_seconds
        self._may_wait = True
        self._beat: bytes | None = None
        self._over = threading.Event()

    def __enter__(self) -> Self:
        for act in (self._look, self._judge):
            threading.Thread(target=self._repeat, args=(act,), name="heartbeat watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _repeat(self, act: Callable[[], None]) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            act()

    def _look(self) -> None:
        """Read the heartbeat. A new one was written after the previous read began, so it may be as old as that."""
        before, self._looked = self._looked, time.monotonic()
        try:
            beat = read_bytes(self._attempt.heartbeat_file)
            is_ended = self._attempt.end_file.exists()
        except OSError:
            return
        if is_ended:
            self._end()
        is_by_hand = beat is None and self._beat is None
        if is_by_hand or (beat is not None and beat != self._beat):
            self._beat = beat
            self._holds_until = max(self._holds_until, before + self._limit_seconds)
            self._may_wait = self._may_wait or self._looked - before < _FROZEN_SECONDS

    def _judge(self) -> None:
        """End the process if the limit has passed."""
        before, self._judged = self._judged, time.monotonic()
        if self._judged - before > _FROZEN_SECONDS and self._may_wait:
            self._may_wait = False
            self._holds_until = max(self._holds_until, self._judged + self._next_beat_seconds)
        if self._judged > self._holds_until:
            self._end()
