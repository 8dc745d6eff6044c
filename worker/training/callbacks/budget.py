"""Stops a run between two batches, while its budget still suffices to save the run."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import keras

from worker.training.budget import BudgetWatch


class StopWithinBudget(keras.callbacks.Callback):
    """Raises what `BudgetWatch.check` raises, as soon as the remaining budget may not suffice for the next step.

    The next step, and the next validation, are expected to take as long as the last ones. A run that is stopped inside
    an epoch is saved as a resume point, without a row in the log. It cannot be saved inside a validation.

    `writing_seconds(files)`: seconds to write the waiting tasks and this number of files: the resume point of the stop,
    and before a validation also the checkpoint that may follow.
    """

    def __init__(self, budget: BudgetWatch, writing_seconds: Callable[[int], float]) -> None:
        super().__init__()
        self._budget = budget
        self._writing_seconds = writing_seconds
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
        self._budget.batch_done(now)
        self._check(step_seconds, 1)

    def _check(self, next_seconds: float, writes: int) -> None:
        self._budget.check(next_seconds + self._writing_seconds(writes))
