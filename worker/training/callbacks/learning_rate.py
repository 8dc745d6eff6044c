"""Adds the learning rate of an epoch to its logs."""

from typing import Any

import keras

from worker.training.learning_rate import read_learning_rate


class LearningRateLog(keras.callbacks.Callback):
    """Must come before the CSV log. Keras's ReduceLROnPlateau does the same, but not every job has one."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        if logs is not None:
            logs["learning_rate"] = read_learning_rate(self.model)
