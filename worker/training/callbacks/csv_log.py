"""One row for each epoch, on the disk when the epoch ends: Keras's CSVLogger. It counts epochs from 0."""

import hashlib
import os
from pathlib import Path
from typing import Any

import keras

from shared.spec import CSVLoggerSpec


class CSVLog(keras.callbacks.CSVLogger):
    """Keras's file, fsynced after each row, and closed also when a run ends with an error."""

    def __init__(self, spec: CSVLoggerSpec, path: Path) -> None:
        """Go on behind the rows that are there: a new attempt finds those of the one before it."""
        super().__init__(path, separator=spec.separator, append=True)
        self._path = path
        self._digest = hashlib.sha256()
        self.bytes_written = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        os.fsync(self.csv_file.fileno())

    def state(self) -> dict[str, Any]:
        """The columns: Keras fixes them by the first row, which a resumed run has behind it."""
        return {"keys": self.keys}

    def restore(self, state: dict[str, Any]) -> None:
        """Be as it was when `state` was taken; after `on_train_begin`, which forgets it."""
        self.keys = state["keys"]

    def length_and_hash(self) -> tuple[int, str]:
        """The log's bytes until now, and their sha256; reads only what has come since it was asked last."""
        with self._path.open("rb") as file:
            file.seek(self.bytes_written)
            new = file.read()
        self._digest.update(new)
        self.bytes_written += len(new)
        return self.bytes_written, self._digest.hexdigest()

    def close(self) -> None:
        if self.csv_file is not None and not self.csv_file.closed:
            self.csv_file.close()
