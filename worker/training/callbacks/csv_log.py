"""Writes one row for each epoch: Keras's CSVLogger, which counts epochs from 0.

A row survives a kill of the process after its epoch. It survives a power failure after `sync` or `sync_and_hash`, which
run at the end of the run and before a resume point that needs the row.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

import keras

from shared.durable import sync_file
from shared.spec import CSVLoggerSpec
from shared.storage import at_path


class CSVLog(keras.callbacks.CSVLogger):
    """Keras's CSVLogger, which also hashes its file, and closes it when a run ends with an error."""

    def __init__(self, spec: CSVLoggerSpec, path: Path) -> None:
        """Append to the existing rows: a new attempt has those of the previous attempt."""
        super().__init__(path, separator=spec.separator, append=True)
        self._path = path
        self._digest = hashlib.sha256()
        self._hashed = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        with at_path(self._path):
            super().on_epoch_end(epoch, logs)

    def state(self) -> dict[str, Any]:
        """The columns. Keras takes them from the first row, which a resumed run does not write."""
        return {"keys": self.keys}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore `state`. Call after `on_train_begin`, which resets it."""
        self.keys = state["keys"]

    @property
    def length(self) -> int:
        """Length of the log in bytes."""
        return self._path.stat().st_size

    def sync_and_hash(self, length: int) -> str:
        """Flush the first `length` bytes to the disk and return their SHA-256. Reads only the new bytes."""
        with at_path(self._path), self._path.open("rb") as file:
            os.fsync(file.fileno())
            file.seek(self._hashed)
            self._digest.update(file.read(length - self._hashed))
        self._hashed = length
        return self._digest.hexdigest()

    def sync(self) -> None:
        """Flush all rows to the disk."""
        if self._path.exists():
            sync_file(self._path)

    def close(self) -> None:
        if self.csv_file is not None and not self.csv_file.closed:
            with at_path(self._path):
                self.csv_file.close()
