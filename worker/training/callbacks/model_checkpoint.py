"""Saves the best models: Keras's ModelCheckpoint chooses and names them, and the writer thread writes a snapshot."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from shared.events import Event
from shared.manifest import Checkpoint
from shared.progress import Best
from shared.spec import ModelCheckpointSpec
from worker.training.callbacks.monitoring import NanIsNeverBest
from worker.training.checkpoints import CheckpointStore, finite_metrics
from worker.training.context import RunContext
from worker.training.model_file import ModelFile, StockModelFile, UnknownLayout

log = logging.getLogger(__name__)


class WholeCheckpoint(NanIsNeverBest, keras.callbacks.ModelCheckpoint):
    """Keras's rule. Instead of saving the model, it gives a snapshot to the writer thread.

    The writer thread writes an event when the file is complete. `best_so_far` is the epoch and the value of the best
    model that was given to it.
    """

    def __init__(self, spec: ModelCheckpointSpec, run: RunContext) -> None:
        self._spec = spec
        self._writer = run.writer
        self._events = run.events
        self._sign = 1.0 if spec.mode == "max" else -1.0
        self._requests = _SaveRequests()
        self.store = CheckpointStore(spec, run.attempt, run.settings.volume_reserve_bytes)
        self.best_so_far: Best | None = None
        # The name without a folder: Keras would create the folder, even while the volume is not mounted.
        super().__init__(
            f"{spec.filename}.{spec.format}",
            monitor=spec.monitor,
            mode=spec.mode,
            save_best_only=spec.save_best_only,
        )

    @property
    def model(self) -> "_SaveRequests":
        """The model as Keras's ModelCheckpoint sees it: its `save` only records the request."""
        return self._requests

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        # Before `on_train_begin`, which restores a resumed run: learning the layout changes the variables for a moment.
        try:
            self._file: ModelFile | StockModelFile = ModelFile(model, self._spec.format)
        except UnknownLayout:
            log.warning("each checkpoint is saved by Keras itself, while training waits", exc_info=True)
            self._file = StockModelFile(model, self._spec.format)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        for name in self._requests.take():
            self._save_snapshot(name, epoch + 1, logs or {})

    def state(self) -> dict[str, Any]:
        """The state that Keras does not save (keras#17012). Without it, a worse model would be best after a resume."""
        return {
            "best": None if self.best is None else float(self.best),
            "best_so_far": self.best_so_far.model_dump(mode="json") if self.best_so_far else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore `state`."""
        self.best = state["best"]
        self.best_so_far = Best.model_validate(state["best_so_far"], extra="ignore") if state["best_so_far"] else None

    def _save_snapshot(self, name: str, epoch: int, logs: Mapping[str, Any]) -> None:
        before, metrics = self.best_so_far, finite_metrics(logs)
        self._note(epoch, metrics.get(self.monitor))
        content = self._file.snapshot()
        is_best = self.best_so_far is not before

        def write() -> None:
            saved = self.store.publish(name, content(), epoch, metrics)
            self._events.write([_saved_event(self.monitor, saved, before, is_best=is_best)])

        self._writer.write(write)

    def _note(self, epoch: int, value: float | None) -> None:
        """Remember the best of the saved epochs; if values are equal, the earlier one."""
        best = self.best_so_far
        if value is not None and (best is None or self._sign * value > self._sign * best.value):
            self.best_so_far = Best(epoch=epoch, monitor=self.monitor, value=value)


class _SaveRequests:
    """Stands in for the model in Keras's ModelCheckpoint: records the names of files to save, and saves nothing."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def save(self, path: str, **_: Any) -> None:
        self._names.append(Path(path).name)

    def take(self) -> list[str]:
        names, self._names = self._names, []
        return names


def _saved_event(monitor: str, saved: Checkpoint, before: Best | None, *, is_best: bool) -> Event:
    value = saved.metrics.get(monitor)
    shown = "not finite" if value is None else f"{value:.4f}"
    if not is_best:
        message = f"{monitor} is {shown}, saved {saved.name}"
    elif before is None:
        message = f"the first {monitor} is {shown}, saved {saved.name}"
    else:
        message = f"{monitor} improved from {before.value:.4f} to {shown}, saved {saved.name}"
    facts = {
        "epoch": saved.epoch,
        "name": saved.name,
        "monitor": monitor,
        "value": value,
        "before": before.value if before else None,
        "is_best": is_best,
        "bytes": saved.bytes,
    }
    return Event("checkpoint", message, facts)
