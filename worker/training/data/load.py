"""Loads the data of a job of any kind, ready to train on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.class_weight import compute_sample_weight

from shared.earlier_model import EarlierModel
from shared.job import JobRecord
from shared.job_folder import AttemptFolder
from shared.settings import Settings
from shared.spec import ArraysSpec, ImagesSpec
from worker.machine.memory import data_shortage
from worker.training.data.arrays import load_arrays
from worker.training.data.images import load_images
from worker.training.data.rows import Data, Part
from worker.training.data.table import load_table
from worker.training.errors import DataLargerThanMemory
from worker.training.hashing import do_nothing

_ONE_HOT_LOSSES = {"categorical_crossentropy", "categorical_focal_crossentropy"}


def load_data(
    attempt: AttemptFolder,
    record: JobRecord,
    settings: Settings | None = None,
    keep_alive: Callable[[], None] = do_nothing,
    earlier: EarlierModel | None = None,
) -> Data:
    """Load the job's data, and write the preparation that a prediction needs into the attempt's folder.

    If the job starts from an `earlier` model, a table is prepared as for that model. `keep_alive` is called every few
    seconds, and may raise to stop. The settings `cache` and `cache_bytes` apply to decoded images.

    Raises DataMissing, DataChanged, DataLargerThanMemory, or BadData, which says how to fix the data.
    """
    try:
        data = _load(attempt, record, settings or Settings(), keep_alive, earlier)
        data = replace(data, train=_with_weights(data.train, record))
        return _one_hot(data) if record.data_spec.hyperparameters.chosen_loss.name in _ONE_HOT_LOSSES else data
    except MemoryError as error:
        raise DataLargerThanMemory(data_shortage(attempt).message) from error


def _load(
    attempt: AttemptFolder,
    record: JobRecord,
    settings: Settings,
    keep_alive: Callable[[], None],
    earlier: EarlierModel | None,
) -> Data:
    spec = record.data_spec.dataset
    if isinstance(spec, ImagesSpec):
        return load_images(attempt, record, spec, settings, keep_alive)
    if isinstance(spec, ArraysSpec):
        return load_arrays(attempt, record, spec, keep_alive)
    return load_table(attempt, record, spec, earlier)


def _with_weights(train: Part, record: JobRecord) -> Part:
    """Add the sample weights of class weight "balanced": for each row, rows / (classes * rows of its class)."""
    if record.data_spec.hyperparameters.class_weight is None:
        return train
    rows = np.arange(len(train.targets)) if train.selected is None else train.selected
    balanced = compute_sample_weight("balanced", _class_numbers(train.targets[rows])).astype(np.float32)
    weights = np.zeros(len(train.targets), np.float32)
    weights[rows] = balanced if train.weights is None else balanced * train.weights[rows]
    return replace(train, weights=weights)


def _class_numbers(targets: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return targets.ravel() if targets.shape[1] == 1 else targets.argmax(axis=1)


def _one_hot(data: Data) -> Data:
    """The data with one-hot targets, float32 of shape (rows, classes); one-hot targets are unchanged."""
    classes = len(data.classes or ())

    def spread(part: Part) -> Part:
        if part.targets.shape[1] > 1:
            return part
        return replace(part, targets=np.eye(classes, dtype=np.float32)[part.targets.ravel()])

    test = spread(data.test) if data.test else None
    return replace(data, train=spread(data.train), validation=spread(data.validation), test=test)
