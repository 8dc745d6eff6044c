"""Sets the learning rate of each epoch by the spec's schedule."""

from typing import Any

import keras

from shared.schedule import scheduled_rate
from shared.spec import LearningRateScheduleSpec


class LearningRateSchedule(keras.callbacks.Callback):
    """Sets the rate at the beginning of each epoch. Stateless, so a resumed run has the same rates.

    `learning_rate`: the base rate of the schedule.
    """

    def __init__(self, spec: LearningRateScheduleSpec, learning_rate: float) -> None:
        super().__init__()
        self._spec = spec
        self._highest = learning_rate

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self.model.optimizer.learning_rate = scheduled_rate(self._spec, self._highest, epoch)
