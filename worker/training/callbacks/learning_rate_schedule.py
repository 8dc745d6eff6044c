"""Sets the learning rate of each epoch by the spec's schedule."""

from typing import Any

import keras

from shared.schedule import scheduled_rate
from shared.spec import LearningRateScheduleSpec


class LearningRateSchedule(keras.callbacks.Callback):
    """Stateless: the rate follows from the epoch's number, also after a resume inside an epoch."""

    def __init__(self, spec: LearningRateScheduleSpec, learning_rate: float) -> None:
        super().__init__()
        self._spec = spec
        self._highest = learning_rate

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self.model.optimizer.learning_rate = scheduled_rate(self._spec, self._highest, epoch)
