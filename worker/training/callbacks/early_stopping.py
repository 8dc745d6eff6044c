"""Keras's EarlyStopping, which also reports how much of the patience is used."""

from typing import Any

import keras

from shared.progress import LastImprovement, Patience
from shared.replay import patience_after
from shared.spec import EarlyStoppingSpec
from worker.training.callbacks.monitoring import NanIsNeverBest


class PatientStopping(NanIsNeverBest, keras.callbacks.EarlyStopping):
    """Keras's rule, without weights in memory: the best model is a checkpoint on the volume.

    `has_stopped`: whether it ended training at the last epoch.
    """

    def __init__(self, spec: EarlyStoppingSpec) -> None:
        super().__init__(
            monitor=spec.monitor,
            mode=spec.mode,
            min_delta=spec.min_delta,
            patience=spec.patience,
            start_from_epoch=spec.start_from_epoch,
        )
        self.settings = self._spec = spec
        self.has_stopped = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        self.has_stopped = self.stopped_epoch == epoch > 0

    def state(self) -> dict[str, Any]:
        """The state that Keras does not save for a resumed run (keras#14862): the wait and the last improvement."""
        return {
            "wait": self.wait,
            "stopped_epoch": self.stopped_epoch,
            "best": None if self.best is None else float(self.best),
            "best_epoch": self.best_epoch,
            "has_stopped": self.has_stopped,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore `state`. Call after `on_train_begin`, which resets everything."""
        for name, value in state.items():
            setattr(self, name, value)

    def patience_used(self, epoch: int, epochs: int) -> Patience:
        """How much of the patience is used after `epoch` (from 1) of `epochs`."""
        last = None
        if self.best is not None:
            value = float(self.best)
            last = LastImprovement(epoch=self.best_epoch + 1, value=value, min_delta=self._spec.min_delta)
        return patience_after(epoch, epochs, self._spec, last, self.wait)
