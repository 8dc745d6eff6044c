"""Stops a run between two batches while what is left of its budget is enough to write the model."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from worker.training.budget import BudgetWatch

# From the run's last word until its attempt has ended: the process ends, and its worker records it. On an idle machine
# 0.04 to 0.08 s were seen; where processes wait for a processor it takes as many times as long.
_LEAVING_SECONDS = 0.07
_MOST_LEAVING_SECONDS = 0.25
_LOAD_SECONDS = 2.0


class StopWithinBudget(keras.callbacks.Callback):
    """Raises what `BudgetWatch.check` raises; the epoch in progress leaves no row, and a place to go on from.

    So much must be left that another step as long as the last one does no harm, and a validation as long as the last
    one neither: inside a validation a run has no place that could be saved. `writing_seconds` says how long it takes to
    write all that waits to be written, and `more` files: the resume point of the stop, and before a validation
    the checkpoint that may follow it.
    """

    def __init__(self, budget: BudgetWatch, writing_seconds: Callable[[int], float]) -> None:
        super().__init__()
        self._budget = budget
        self._writing_seconds = writing_seconds
        self._load = Load()
        self._looked = time.monotonic()
        self._validating_since = 0.0
        self._validation_seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._looked = time.monotonic()

    def steps_done(self, step: int, logs: Mapping[str, Any]) -> None:  # noqa: ARG002
        self._look()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._validating_since = self._looked = time.monotonic()
        self._check(self._validation_seconds, 2)

    def validated(self, step: int) -> None:  # noqa: ARG002
        self._look()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._validation_seconds = time.monotonic() - self._validating_since

    def _look(self) -> None:
        now = time.monotonic()
        self._looked, step_seconds = now, now - self._looked
        self._check(step_seconds, 1)

    def _check(self, next_seconds: float, writes: int) -> None:
        leaving = min(_MOST_LEAVING_SECONDS, _LEAVING_SECONDS * self._load.slowdown())
        self._budget.check(next_seconds + self._writing_seconds(writes) + leaving)


class Load:
    """How much longer than alone on the machine this process takes, by the kernel's account of the last seconds."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._before = _read_account()
        self._slowdown = 1.0

    def slowdown(self) -> float:
        """1 on an idle machine; 3 where the process waits for a processor twice as long as it has one."""
        now = time.monotonic()
        if now - self._since >= _LOAD_SECONDS:
            (ran, waited), before = _read_account(), self._before
            self._since, self._before = now, (ran, waited)
            if ran > before[0]:
                self._slowdown = 1.0 + (waited - before[1]) / (ran - before[0])
        return self._slowdown


def _read_account() -> tuple[int, int]:
    """For how long the main thread ran and waited for a processor, in nanoseconds; zeros where no kernel says it."""
    try:
        ran, waited, *_ = Path("/proc/self/schedstat").read_text().split()
        return int(ran), int(waited)
    except (OSError, ValueError):
        return 0, 0
