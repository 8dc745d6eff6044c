"""The current epoch of `fit`, which it does not pass to its training function."""

from typing import Any

import keras


class EpochNumber(keras.callbacks.Callback):
    """The current epoch, from 0; a callback before all others."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self.number = epoch
