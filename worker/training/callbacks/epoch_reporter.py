"""Writes the events of each epoch, each reduction of the learning rate, and the stop.

The writer thread writes the events of checkpoints, when the files are complete.
"""

import time
from collections.abc import Mapping
from typing import Any

import keras

from shared.events import Event, EventWriter
from shared.progress import Best, EpochProgress
from worker.training.callbacks.model_checkpoint import WholeCheckpoint
from worker.training.callbacks.reduce_lr import Drop
from worker.training.callbacks.rules import Plateau, Stopping
from worker.training.checkpoints import finite_metrics


class EpochReporter(keras.callbacks.Callback):
    """Comes after the callbacks that decide, and writes all events of an epoch together. `last_epoch` counts from 1."""

    def __init__(
        self,
        epochs: int,
        events: EventWriter,
        checkpoint: WholeCheckpoint | None,
        reduce_lr: Plateau | None,
        early_stopping: Stopping | None,
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
            events.append(_stop_event(self.last_epoch, self._early_stopping, self.best))
        self._events.write(events)

    def state(self) -> dict[str, Any]:
        return {"last_epoch": self.last_epoch}

    def restore(self, state: dict[str, Any]) -> None:
        self.last_epoch = state["last_epoch"]

    @property
    def best(self) -> Best | None:
        """The best model; None if the job saves no models."""
        return self._checkpoint.best_so_far if self._checkpoint else None

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
        values = ", ".join(f"{name} {_show(value)}" for name, value in progress.metrics.items())
        message = f"epoch {self.last_epoch} of {self._epochs}: {values} ({progress.seconds:.2f} s)"
        return Event("epoch", message, progress.event_data())


def _show(value: float | None) -> str:
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


def _stop_event(epoch: int, stopping: Stopping, best: Best | None) -> Event:
    state = stopping.patience_used(epoch, epoch)
    last = state.last_improvement
    words = f"; its last improvement was {last.value:.4f} at epoch {last.epoch}" if last else ""
    message = f"stopped: {state.monitor} has not improved for {state.wait} epochs{words}"
    facts = {
        "epoch": epoch,
        "reason": "early_stopping",
        "best": best.model_dump(mode="json") if best else None,
        **state.model_dump(mode="json"),
    }
    return Event("stop", message, facts)
