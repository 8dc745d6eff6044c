"""Keeps the best models: Keras's ModelCheckpoint decides and saves; here its files become whole, hashed and counted."""

import hashlib
import logging
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from shared.durable import make_folder, sync_file, sync_folder
from shared.job_folder import AttemptFolder
from shared.manifest import Checkpoint, Manifest, read_manifest, write_manifest
from shared.progress import Best
from shared.spec import ModelCheckpointSpec
from shared.times import utc_now
from worker.training.callbacks.monitoring import NanIsNeverBest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Saved:
    """One checkpoint that an epoch's end saved; `before` is the best value until then, None for the first."""

    checkpoint: Checkpoint
    value: float
    before: float | None
    is_best: bool


class WholeCheckpoint(NanIsNeverBest, keras.callbacks.ModelCheckpoint):
    """Keras saves into a folder of its own; a file that is whole is moved to its place and named in the manifest.

    A crash leaves the manifest and every file that it names whole: a checkpoint is on the disk before the manifest
    names it, and it is removed only after the manifest and the resume points have forgotten it. `saved` tells what
    the last epoch's end saved, or None.
    """

    def __init__(self, spec: ModelCheckpointSpec, attempt: AttemptFolder) -> None:
        self._attempt = attempt
        self._keep = spec.keep
        self._sign = 1.0 if spec.mode == "max" else -1.0
        self._ending = f".{spec.format}"
        self._partial = attempt.checkpoints / ".partial"
        self.manifest = read_manifest(attempt.manifest_file)
        self.saved: Saved | None = None
        super().__init__(
            self._partial / f"{spec.filename}.{spec.format}",
            monitor=spec.monitor,
            mode=spec.mode,
            save_best_only=spec.save_best_only,
        )

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        shutil.rmtree(self._partial, ignore_errors=True)
        make_folder(self._partial)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        self.saved = None
        for written in self._partial.iterdir():
            self.saved = self._publish(written, epoch + 1, logs or {})

    def state(self) -> dict[str, Any]:
        """What Keras forgets when a run goes on elsewhere (keras#17012): a worse model would become the best."""
        return {"best": None if self.best is None else float(self.best)}

    def restore(self, state: dict[str, Any]) -> None:
        """Be as it was when `state` was taken."""
        self.best = state["best"]

    def clear_away(self, needed: set[str]) -> None:
        """Remove the checkpoints that the manifest has forgotten, but for those that a resume point still needs."""
        named = {one.name for one in self.manifest.checkpoints} | needed
        for path in self._attempt.checkpoints.glob(f"*{self._ending}"):
            if path.name not in named:
                path.unlink(missing_ok=True)

    @property
    def best_so_far(self) -> Best | None:
        """The epoch and value of the model that is kept as the best."""
        best = self.manifest.find(self.manifest.best) if self.manifest.best else None
        value = best.metrics.get(self.monitor) if best else None
        return None if best is None or value is None else Best(epoch=best.epoch, monitor=self.monitor, value=value)

    def _publish(self, written: Path, epoch: int, logs: Mapping[str, Any]) -> Saved:
        checkpoint = Checkpoint(
            name=written.name,
            epoch=epoch,
            bytes=written.stat().st_size,
            sha256=_sha256(written),
            saved_at=utc_now(),
            metrics=finite_metrics(logs),
        )
        sync_file(written)
        written.replace(self._attempt.checkpoints / written.name)
        sync_folder(self._attempt.checkpoints)
        before = self.best_so_far
        self._remember(checkpoint)
        return Saved(
            checkpoint,
            float(logs[self.monitor]),
            before.value if before else None,
            self.manifest.best == checkpoint.name,
        )

    def _remember(self, new: Checkpoint) -> None:
        """Name the new checkpoint and forget the worst above `keep`; `clear_away` removes their files."""
        others = [one for one in self.manifest.checkpoints if one.name != new.name]
        by_worth = sorted([*others, new], key=self._worth, reverse=True)
        kept = {one.name for one in by_worth[: self._keep]}
        self.manifest = Manifest(
            best=by_worth[0].name,
            checkpoints=tuple(one for one in [*others, new] if one.name in kept),
        )
        write_manifest(self._attempt.manifest_file, self.manifest)

    def _worth(self, one: Checkpoint) -> tuple[float, int]:
        """Greater is better; of equal ones the earlier is better, as in Keras's own comparison."""
        value = one.metrics.get(self.monitor)
        return (-math.inf if value is None else self._sign * value, -one.epoch)


def finite_metrics(logs: Mapping[str, Any]) -> dict[str, float | None]:
    """An epoch's metrics as plain numbers, None where one is not finite; the learning rate is not a metric."""
    values = {name: float(value) for name, value in logs.items() if name != "learning_rate"}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
