"""Ends the process inside a batch that outlasts its right to train.

Between two batches the run looks for itself and stops in order (`stop_requests`). But a batch may be longer than the
time from the self-stop to the take-over, and a look at a volume that hangs takes as long as it hangs. So one thread
looks at the heartbeat while the run computes, and a second one, which touches no file, ends the process when the first
has seen no fresh beat for too long. Nothing is lost by that: an attempt that is not ours any more writes nothing.
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
# A process that has not judged for this time was frozen, or this machine was.
_FROZEN_SECONDS = 2.0


class Lifeline:
    """Holds while fresh beats come, by this process's own monotonic clock; as a context, for as long as the run lasts.

    It gives way halfway between the self-stop and the take-over, which leaves a run that can look by itself the time to
    stop in order. A process that was frozen has until the next beat to see one. A heartbeat that has disappeared stands
    still; where there never was one, since the program runs by hand, the lifeline always holds.

    `end` ends this process at once, with the status SUPERSEDED.
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
            threading.Thread(target=self._repeat, args=(act,), name="lifeline", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _repeat(self, act: Callable[[], None]) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            act()

    def _look(self) -> None:
        """A beat that is new was written after the look before this one began, and may be as old as that."""
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
        before, self._judged = self._judged, time.monotonic()
        if self._judged - before > _FROZEN_SECONDS and self._may_wait:
            self._may_wait = False
            self._holds_until = max(self._holds_until, self._judged + self._next_beat_seconds)
        if self._judged > self._holds_until:
            self._end()
