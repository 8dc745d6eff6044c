"""Ends a run whose numbers are no longer finite, before anything of the epoch is saved."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from worker.training.errors import Diverged

_FIX = "a smaller learning_rate or scaled data may help"


class NotFinite(keras.callbacks.Callback):
    """Raises Diverged after a batch or an epoch with a loss that is not finite.

    The weights are checked, too: on a CPU, relu in graph mode hides NaN, so the loss of such a model is finite and
    Keras's TerminateOnNaN does not stop it. All metrics are checked, because JSON cannot represent an infinite one.

    `weights_are_finite` returns a flag for each trainable variable, bool of shape (variables,). An engine may replace
    it to return flags that it has already computed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0
        self.weights_are_finite: Callable[[], npt.NDArray[np.bool_]] = self._look_at_weights

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._epoch = epoch

    def steps_done(self, step: int, logs: Mapping[str, Any]) -> None:
        """Raise Diverged if the loss is not finite. An engine's call ends after the first batch with such a loss."""
        loss = float(logs.get("loss", 0.0))
        if not math.isfinite(loss):
            raise Diverged(f"the loss became {loss} in epoch {self._epoch + 1} at batch {step}; {_FIX}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise Diverged(f"the loss became {loss} in epoch {epoch + 1}; {_FIX}")
        infinite = [name for name, value in (logs or {}).items() if math.isinf(float(value))]
        if infinite:
            raise Diverged(f"{infinite[0]} became {float((logs or {})[infinite[0]])} in epoch {epoch + 1}; {_FIX}")
        flags = self.weights_are_finite()
        if not flags.all():
            bad = self.model.trainable_variables[int(np.argmin(flags))]
            raise Diverged(f"the weights {bad.path} are not finite after epoch {epoch + 1}, though the loss is; {_FIX}")

    def _look_at_weights(self) -> npt.NDArray[np.bool_]:
        arrays = (keras.ops.convert_to_numpy(variable) for variable in self.model.trainable_variables)
        return np.array([np.isfinite(array).all() for array in arrays])
