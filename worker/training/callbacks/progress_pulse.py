"""Reports progress to the worker, at most once a second, and how long it may wait for the next report."""

import statistics
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import keras

from worker.ipc import pulse

_MEDIANS = 20


class ProgressPulse(keras.callbacks.Callback):
    """A run hangs if no step ends for `hang_seconds`, or for twenty times its median step if that is longer.

    If an engine runs many steps in one call, a call counts as a step.
    """

    def __init__(self, hang_seconds: float) -> None:
        super().__init__()
        self._hang_seconds = hang_seconds
        self._durations: deque[float] = deque(maxlen=101)
        # None until the first batch has ended. Its duration is not counted, because it includes tracing the model.
        self._last: float | None = None
        self._sent = 0.0
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._epoch = epoch

    def steps_done(self, step: int, logs: Mapping[str, Any]) -> None:  # noqa: ARG002
        self._done(step)

    def validated(self, step: int) -> None:
        self._done(step)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._done(0)

    def _done(self, step: int) -> None:
        now = time.monotonic()
        if self._last is not None:
            self._durations.append(now - self._last)
        self._last = now
        if self._durations and now - self._sent >= min(1.0, self._hang_seconds / 4):
            self._sent = now
            silence = max(self._hang_seconds, _MEDIANS * statistics.median(self._durations))
            pulse.send(pulse.Pulse(silence, f"{self._epoch}:{step}"))
