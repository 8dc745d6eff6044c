"""The checkpoints of an attempt on the volume: complete, hashed, limited in number, and listed in the manifest.

After a crash the manifest and every file that it lists are complete. A checkpoint is on the disk before the manifest
lists it, and it is removed only after neither the manifest nor a resume point lists it.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from shared.durable import make_folder, replace_file
from shared.job_folder import AttemptFolder
from shared.manifest import Checkpoint, Manifest, read_manifest, write_manifest
from shared.spec import ModelCheckpointSpec
from shared.storage import check_room
from shared.times import utc_now


class CheckpointStore:
    """Writes and removes checkpoints. After the run has started, only the writer thread uses it."""

    def __init__(self, spec: ModelCheckpointSpec, attempt: AttemptFolder, reserve_bytes: int = 0) -> None:
        self._attempt = attempt
        self._reserve_bytes = reserve_bytes
        self._keep = spec.keep
        self._monitor = spec.monitor
        self._sign = 1.0 if spec.mode == "max" else -1.0
        self._ending = f".{spec.format}"
        self.manifest = read_manifest(attempt.manifest_file)

    def publish(self, name: str, content: bytes, epoch: int, metrics: Mapping[str, float | None]) -> Checkpoint:
        """Write a checkpoint, then list it in the manifest, which lists the best `keep` ones.

        Raises OSError (ENOSPC) and writes nothing if the volume has no room for it in addition to `reserve_bytes`.
        """
        checkpoint = Checkpoint(
            name=name,
            epoch=epoch,
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            saved_at=utc_now(),
            metrics=dict(metrics),
        )
        make_folder(self._attempt.checkpoints, within=self._attempt.path)
        check_room(self._attempt.checkpoints, self._reserve_bytes + len(content))
        replace_file(self._attempt.checkpoints / name, content)
        self._remember(checkpoint)
        return checkpoint

    def clear_away(self, needed: set[str]) -> None:
        """Remove the checkpoints that the manifest no longer lists, except those that a resume point still needs."""
        named = {one.name for one in self.manifest.checkpoints} | needed
        for path in self._attempt.checkpoints.glob(f"*{self._ending}"):
            if path.name not in named:
                path.unlink(missing_ok=True)

    def _remember(self, new: Checkpoint) -> None:
        others = [one for one in self.manifest.checkpoints if one.name != new.name]
        best_first = sorted([*others, new], key=self._rank, reverse=True)
        kept = {one.name for one in best_first[: self._keep]}
        self.manifest = Manifest(
            best=best_first[0].name,
            checkpoints=tuple(one for one in [*others, new] if one.name in kept),
        )
        write_manifest(self._attempt.manifest_file, self.manifest)

    def _rank(self, one: Checkpoint) -> tuple[float, int]:
        """The sort key: greater is better. If values are equal, the earlier is better, as in Keras's own comparison."""
        value = one.metrics.get(self._monitor)
        return (-math.inf if value is None else self._sign * value, -one.epoch)


def finite_metrics(logs: Mapping[str, Any]) -> dict[str, float | None]:
    """An epoch's metrics as floats, None if not finite. The learning rate is not a metric."""
    values = {name: float(value) for name, value in logs.items() if name != "learning_rate"}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
