"""Loads uploaded arrays, memory-mapped and unchanged."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.dataset import ArrayProfile, DatasetInfo, hash_files
from shared.durable import replace_file
from shared.job import JobRecord
from shared.job_folder import AttemptFolder
from shared.rows import CannotSplit, Rows, split_parts
from shared.spec import ArraysSpec
from shared.storage import at_path
from shared.volume import arrays_folder_of
from worker.training import prepare_arrays
from worker.training.data.files import cannot_split, check_unchanged, find_profile
from worker.training.data.rows import Array, Data, Part
from worker.training.errors import BadData, DataMissing
from worker.training.hashing import do_nothing, sha256_of


def load_arrays(
    attempt: AttemptFolder, record: JobRecord, spec: ArraysSpec, keep_alive: Callable[[], None] = do_nothing
) -> Data:
    """Load the arrays. Targets have shape (rows, outputs): int32 class numbers if multi-class, else float32.

    Raises DataMissing, DataChanged, BadData.
    """
    profile = find_profile(attempt, spec.id)
    folder = arrays_folder_of(attempt.job, spec.id)
    _check_files(folder, profile, record.data_sha256, keep_alive)
    training = _part(folder, profile, "training", record)
    replace_file(attempt.prepare_file, Path(prepare_arrays.__file__).read_bytes())
    replace_file(
        attempt.schema_file, prepare_arrays.describe({name: one.shape[1:] for name, one in training.inputs.items()})
    )
    has_validation = profile.array("target", "validation") is not None
    train, validation, test = _split(training, spec, None if has_validation else spec.validation_fraction)
    return Data(
        replace(training, selected=train) if len(train) < len(training) else training,
        _part(folder, profile, "validation", record) if has_validation else replace(training, selected=validation),
        record.data_task.classes,
        test=replace(training, selected=test) if len(test) else None,
    )


def _check_files(folder: Path, profile: DatasetInfo, expected: str, keep_alive: Callable[[], None]) -> None:
    try:
        sums = {one.file_name: sha256_of(folder / one.file_name, keep_alive) for one in profile.arrays}
    except FileNotFoundError as error:
        raise DataMissing("the dataset is not on the volume") from error
    check_unchanged(hash_files(sums), expected)


def _part(folder: Path, profile: DatasetInfo, part: str, record: JobRecord) -> Part:
    found = [one for one in profile.arrays if one.part == part]
    (target,) = (one for one in found if one.role == "target")
    weights = next((one for one in found if one.role == "sample_weight"), None)
    return Part(
        {one.name: _map(folder, one) for one in found if one.role == "input"},
        _targets(_map(folder, target), record),
        None if weights is None else np.asarray(_map(folder, weights), np.float32).ravel(),
    )


def _map(folder: Path, one: ArrayProfile) -> Array:
    path = folder / one.file_name
    with at_path(path):
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _targets(array: Array, record: JobRecord) -> Array:
    rows = array.reshape(len(array), -1)
    is_class_number = record.data_task.kind == "multiclass" and rows.shape[1] == 1
    return np.asarray(rows, np.int32 if is_class_number else np.float32)


def _split(training: Part, spec: ArraysSpec, validation_fraction: float | None) -> tuple[Rows, Rows, Rows]:
    strata: npt.NDArray[Any] | None = None
    if spec.stratify:
        targets = training.targets
        strata = targets.ravel().astype(np.int64) if targets.shape[1] == 1 else targets.argmax(axis=1)
    try:
        return split_parts(len(training), validation_fraction, spec.test_fraction, spec.split_seed, strata)
    except CannotSplit as error:
        raise BadData(cannot_split("rows", spec, error)) from None
