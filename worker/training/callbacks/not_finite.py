"""Ends a run whose numbers are not finite any more, before anything is kept of the bad epoch."""

import math
from typing import Any

import keras
import numpy as np

from worker.training.errors import Diverged


class NotFinite(keras.callbacks.Callback):
    """Raises Diverged at the batch after which the loss is not finite, or at the epoch's end.

    The weights are looked at too: on a CPU, relu in graph mode swallows NaN, so that the loss of a dead model stays
    finite and Keras's TerminateOnNaN never fires.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise Diverged(
                f"the loss became {loss} in epoch {self._epoch + 1} at batch {batch + 1}; "
                "a smaller learning_rate or scaled data help"
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise Diverged(f"the loss became {loss} in epoch {epoch + 1}; a smaller learning_rate or scaled data help")
        for variable in self.model.trainable_variables:
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                raise Diverged(
                    f"the weights {variable.path} are not finite after epoch {epoch + 1}, though the loss is; "
                    "a smaller learning_rate or scaled data help"
                )
