"""The arguments of `fit` besides the model, its data and its callbacks, from a spec or a script's call."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.job import JobRecord
from worker.training.order import permutation


@dataclass(frozen=True)
class FitSettings:
    """Trains from `first_epoch` to `epochs - 1`. Epochs count from 0, over all calls of `fit` of a job."""

    epochs: int
    batch_size: int
    seed: int
    first_epoch: int = 0
    shuffle: bool = True

    def order(self, epoch: int, rows: int) -> npt.NDArray[np.int32]:
        """The order of the training rows in an epoch: int32 of shape (rows,)."""
        return permutation(self.seed, epoch, rows) if self.shuffle else np.arange(rows, dtype="i4")


def fit_settings_of(record: JobRecord) -> FitSettings:
    """The settings of a job that names its data and model."""
    asked = record.data_spec.hyperparameters
    return FitSettings(asked.epochs, asked.batch_size, asked.seed)
