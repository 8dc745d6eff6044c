"""The spec of a job, with every default of the article's example.

Only `dataset.id` and `dataset.target` are required. A value of "auto" follows from the target and is
replaced by `shared.resolve` before the job is stored, so that a stored spec says everything.
"""

from shared.spec.base import MOST_EPOCHS, MOST_PARAMETERS, Column, Mode, Monitor, Scalar, Strict, Text
from shared.spec.budget import Budget
from shared.spec.callbacks import (
    Callbacks,
    CSVLoggerSpec,
    EarlyStoppingSpec,
    Filename,
    ModelCheckpointSpec,
    ReduceLROnPlateauSpec,
    filename_fields,
)
from shared.spec.dataset import DatasetSpec, Positive
from shared.spec.hyperparameters import Hyperparameters, Loss, Metric
from shared.spec.job import JobSpec
from shared.spec.model import ModelSpec

__all__ = [
    "MOST_EPOCHS", "MOST_PARAMETERS", "Budget", "CSVLoggerSpec", "Callbacks", "Column", "DatasetSpec",
    "EarlyStoppingSpec", "Filename", "Hyperparameters", "JobSpec", "Loss", "Metric", "Mode", "ModelCheckpointSpec",
    "ModelSpec", "Monitor", "Positive", "ReduceLROnPlateauSpec", "Scalar", "Strict", "Text", "filename_fields",
]  # fmt: skip
