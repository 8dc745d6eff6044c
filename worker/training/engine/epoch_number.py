"""The epoch that `fit` is in, which it does not give its training function."""

from typing import Any

import keras


class EpochNumber(keras.callbacks.Callback):
    """Knows the epoch, from 0: as a callback, before all others."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self.number = epoch
