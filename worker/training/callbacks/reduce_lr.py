"""Reduces the learning rate when the monitor does not improve: Keras's ReduceLROnPlateau, with a report."""

from dataclasses import dataclass
from typing import Any

import keras

from shared.progress import PlateauWait
from shared.spec import ReduceLROnPlateauSpec
from worker.training.callbacks.monitoring import NanIsNeverBest
from worker.training.learning_rate import read_learning_rate


@dataclass(frozen=True)
class Drop:
    """One reduction of the learning rate, and why."""

    before: float
    after: float
    monitor: str
    patience: int


class ReduceLROnPlateau(NanIsNeverBest, keras.callbacks.ReduceLROnPlateau):
    """Keras's rule; `drop` is the reduction at the end of the last epoch, or None."""

    def __init__(self, spec: ReduceLROnPlateauSpec) -> None:
        super().__init__(
            monitor=spec.monitor,
            mode=spec.mode,
            factor=spec.factor,
            patience=spec.patience,
            min_delta=spec.min_delta,
            cooldown=spec.cooldown,
            min_lr=spec.min_lr,
        )
        self.drop: Drop | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        before = read_learning_rate(self.model)
        super().on_epoch_end(epoch, logs)
        after = read_learning_rate(self.model)
        # Keras also "reduces" a rate that is equal to min_lr except for the rounding of float32.
        is_drop = after < before * (1 - 1e-6)
        self.drop = Drop(before, after, self.monitor, self.patience) if is_drop else None

    def state(self) -> dict[str, Any]:
        """The state that Keras does not save for a resumed run."""
        return {
            "wait": self.wait,
            "cooldown_counter": self.cooldown_counter,
            "best": None if self.best is None else float(self.best),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore `state`. Call after `on_train_begin`, which resets everything."""
        for name, value in state.items():
            setattr(self, name, value)

    def plateau_wait(self) -> PlateauWait:
        return PlateauWait(wait=self.wait, patience=self.patience)
