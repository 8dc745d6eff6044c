"""One row for each epoch, on the disk when the epoch ends: Keras's CSVLogger. It counts epochs from 0."""

import os
from pathlib import Path
from typing import Any

import keras

from shared.spec import CSVLoggerSpec


class CSVLog(keras.callbacks.CSVLogger):
    """Keras's file, fsynced after each row, and closed also when a run ends with an error."""

    def __init__(self, spec: CSVLoggerSpec, path: Path) -> None:
        super().__init__(path, separator=spec.separator)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        os.fsync(self.csv_file.fileno())

    def close(self) -> None:
        if self.csv_file is not None and not self.csv_file.closed:
            self.csv_file.close()
