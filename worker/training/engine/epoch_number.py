"""The number of the current epoch, which `fit` does not pass to its training function."""

from typing import Any

import keras


class EpochNumber(keras.callbacks.Callback):
    """`number` is the current epoch (from 0). Must be the first of the callbacks."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self.number = epoch
