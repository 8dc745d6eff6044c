"""Adds the learning rate of an epoch to its logs."""

from typing import Any

import keras

from worker.training.learning_rate import read_learning_rate


class LearningRateLog(keras.callbacks.Callback):
    """Keras's ReduceLROnPlateau does this too, but only if it is used."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        if logs is not None:
            logs["learning_rate"] = read_learning_rate(self.model)
