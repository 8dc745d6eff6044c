"""Tells what happened, as the article's terminal does: an event for each epoch, a drop of the rate, the stop.

Checkpoints are told by the thread that writes them, once they are whole.
"""

import time
from collections.abc import Mapping
from typing import Any

import keras

from shared.events import Event, EventWriter
from shared.progress import Best, EpochProgress
from worker.training.callbacks.early_stopping import PatientStopping
from worker.training.callbacks.model_checkpoint import WholeCheckpoint
from worker.training.callbacks.reduce_lr import Drop, ReduceLROnPlateau
from worker.training.checkpoints import finite_metrics


class Narrator(keras.callbacks.Callback):
    """Comes behind the others, so that they have decided; writes an epoch's events in one piece."""

    def __init__(
        self,
        epochs: int,
        events: EventWriter,
        checkpoint: WholeCheckpoint | None,
        reduce_lr: ReduceLROnPlateau | None,
        early_stopping: PatientStopping | None,
    ) -> None:
        super().__init__()
        self._epochs = epochs
        self._events = events
        self._checkpoint = checkpoint
        self._reduce_lr = reduce_lr
        self._early_stopping = early_stopping
        self._began = 0.0
        self.last_epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.last_epoch = epoch + 1
        events = [self._epoch_event(logs or {})]
        if self._reduce_lr and self._reduce_lr.drop:
            events.append(_drop_event(self.last_epoch, self._reduce_lr.drop))
        if self._early_stopping and self._early_stopping.has_stopped:
            events.append(_stop_event(self.last_epoch, self._early_stopping))
        self._events.write(events)

    def state(self) -> dict[str, Any]:
        return {"last_epoch": self.last_epoch}

    def restore(self, state: dict[str, Any]) -> None:
        self.last_epoch = state["last_epoch"]

    @property
    def best(self) -> Best | None:
        """The best epoch: that of the model kept, or where none is kept that of early stopping."""
        if self._checkpoint:
            return self._checkpoint.best_so_far
        stopping = self._early_stopping
        if stopping is None or stopping.best is None:
            return None
        return Best(epoch=stopping.best_epoch + 1, monitor=stopping.monitor, value=float(stopping.best))

    def _epoch_event(self, logs: Mapping[str, Any]) -> Event:
        stopping = self._early_stopping
        progress = EpochProgress(
            epoch=self.last_epoch,
            epochs=self._epochs,
            metrics=finite_metrics(logs),
            learning_rate=float(logs["learning_rate"]),
            seconds=round(time.monotonic() - self._began, 6),
            best=self.best,
            early_stopping=stopping.patience_used(self.last_epoch, self._epochs) if stopping else None,
            reduce_lr=self._reduce_lr.plateau_wait() if self._reduce_lr else None,
        )
        values = ", ".join(f"{name} {_shown(value)}" for name, value in progress.metrics.items())
        message = f"epoch {self.last_epoch} of {self._epochs}: {values} ({progress.seconds:.2f} s)"
        return Event("epoch", message, progress.model_dump(mode="json"))


def _shown(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4f}"


def _drop_event(epoch: int, drop: Drop) -> Event:
    message = (
        f"learning rate {drop.before:.6g} → {drop.after:.6g}: "
        f"{drop.monitor} has not improved for {drop.patience} epochs"
    )
    facts = {
        "epoch": epoch,
        "before": drop.before,
        "after": drop.after,
        "monitor": drop.monitor,
        "patience": drop.patience,
    }
    return Event("learning_rate", message, facts)


def _stop_event(epoch: int, stopping: PatientStopping) -> Event:
    state = stopping.patience_used(epoch, epoch)
    since = "never had a finite value" if state.best_value is None else f"has not improved on {state.best_value:.4f}"
    message = f"stopped: {state.monitor} {since} since epoch {state.best_epoch or 0} for {state.wait} epochs"
    return Event("stop", message, {"epoch": epoch, "reason": "early_stopping", **state.model_dump(mode="json")})
