"""The spec of a job, with every default of the article's example.

Only `dataset.id` and `dataset.target` are required. A value of "auto" follows from the target and is
replaced by `shared.resolve` before the job is stored, so that a stored spec says everything.
"""

from shared.spec.application import ApplicationName, ApplicationSpec
from shared.spec.arrays import ArraysSpec
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
from shared.spec.cnn import CnnSpec
from shared.spec.dataset import DATASET_KINDS, DatasetSpec
from shared.spec.dense import DenseSpec
from shared.spec.earlier_job import EarlierJobSpec
from shared.spec.hyperparameters import Hyperparameters, Metric
from shared.spec.images import AugmentSpec, ImagesSpec
from shared.spec.job import AnyJobSpec, JobSpec, ProgramJobSpec
from shared.spec.keras_model import KerasSpec
from shared.spec.loss import Loss, LossSpec
from shared.spec.model import MODEL_KINDS, ModelSpec
from shared.spec.optimizer import OptimizerSpec
from shared.spec.program import ProgramCallbacks, ProgramSpec
from shared.spec.schedule import LearningRateScheduleSpec
from shared.spec.table import Positive, TableSpec

__all__ = [
    "DATASET_KINDS",
    "MODEL_KINDS",
    "MOST_EPOCHS",
    "MOST_PARAMETERS",
    "AnyJobSpec",
    "ApplicationName",
    "ApplicationSpec",
    "ArraysSpec",
    "AugmentSpec",
    "Budget",
    "CSVLoggerSpec",
    "Callbacks",
    "CnnSpec",
    "Column",
    "DatasetSpec",
    "DenseSpec",
    "EarlierJobSpec",
    "EarlyStoppingSpec",
    "Filename",
    "Hyperparameters",
    "ImagesSpec",
    "JobSpec",
    "KerasSpec",
    "LearningRateScheduleSpec",
    "Loss",
    "LossSpec",
    "Metric",
    "Mode",
    "ModelCheckpointSpec",
    "ModelSpec",
    "Monitor",
    "OptimizerSpec",
    "Positive",
    "ProgramCallbacks",
    "ProgramJobSpec",
    "ProgramSpec",
    "ReduceLROnPlateauSpec",
    "Scalar",
    "Strict",
    "TableSpec",
    "Text",
    "auto",
    "filename_fields",
]  # fmt: skip
