"""Finds the files of a dataset on the volume, and checks that they have not changed since the job was posted."""

from collections.abc import Callable
from pathlib import Path

from shared.dataset import DatasetInfo
from shared.job_folder import AttemptFolder
from shared.rows import CannotSplit
from shared.spec import DatasetSpec
from shared.volume import data_file_of, dataset_of
from worker.training.errors import DataChanged, DataMissing
from worker.training.hashing import do_nothing, sha256_of


def find_profile(attempt: AttemptFolder, dataset_id: str) -> DatasetInfo:
    """The dataset's profile. Raises DataMissing if it is not on the volume."""
    profile = dataset_of(attempt.job, dataset_id)
    if profile is None:
        raise DataMissing("the dataset's profile is not on the volume")
    return profile


def find_data_file(
    attempt: AttemptFolder, dataset_id: str, sha256: str, keep_alive: Callable[[], None] = do_nothing
) -> Path:
    """The dataset's `data.parquet`. Raises DataMissing, DataChanged."""
    path = data_file_of(attempt.job, dataset_id)
    try:
        check_unchanged(sha256_of(path, keep_alive), sha256)
    except FileNotFoundError as error:
        raise DataMissing("the dataset is not on the volume") from error
    return path


def cannot_split(what: str, spec: DatasetSpec, error: CannotSplit) -> str:
    """The error message for rows (`what`) that cannot be split as the spec says, with the reason."""
    test = "" if spec.test_fraction is None else f" and test_fraction {spec.test_fraction:g}"
    return f"the {what} cannot be split with validation_fraction {spec.validation_fraction:g}{test}: {error}"


def check_unchanged(found: str, expected: str) -> None:
    """Raise DataChanged if the data has changed since the job was posted."""
    if found != expected:
        raise DataChanged("the dataset has changed since the job was posted; post the job again")
