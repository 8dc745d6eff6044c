"""Loads images, which are decoded once into a cache on this machine's own disk and memory-mapped from there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from shared.durable import replace_file
from shared.job import JobRecord
from shared.job_folder import AttemptFolder
from shared.rows import CannotSplit, split_parts
from shared.settings import Settings
from shared.spec import ImagesSpec
from shared.storage import at_path
from worker.training import prepare_images
from worker.training.data.decoded import find_decoded
from worker.training.data.files import cannot_split, find_data_file, find_profile
from worker.training.data.rows import Data, Part
from worker.training.errors import BadData
from worker.training.prepare_images import Preparation

Rows = npt.NDArray[np.int64]


def load_images(
    attempt: AttemptFolder, record: JobRecord, spec: ImagesSpec, settings: Settings, keep_alive: Callable[[], None]
) -> Data:
    """Load the images, uint8 of shape (images, height, width, channels), with their class numbers as targets.

    Targets have shape (images, 1): float32 if there are two classes, else int32. Raises DataMissing, DataChanged,
    BadData, and OSError if the cache has no space.
    """
    path = find_data_file(attempt, spec.id, record.data_sha256, keep_alive)
    profile = find_profile(attempt, spec.id).images
    assert profile is not None
    preparation = Preparation(*spec.shape, spec.resize)
    replace_file(attempt.prepare_file, Path(prepare_images.__file__).read_bytes())
    replace_file(attempt.schema_file, preparation.to_json())
    pixels, decoding = find_decoded(path, record.data_sha256, preparation, settings, keep_alive)
    with at_path(path):
        columns = pq.read_table(path, columns=["label", "split"], use_threads=False)
    number_of = {name: number for number, name in enumerate(profile.class_names)}
    numbers = np.array([number_of[label] for label in columns["label"].to_pylist()], np.int32)
    train, validation, test = _split(numbers, np.array(columns["split"].to_pylist(), object), spec)
    targets = numbers.astype(np.float32 if record.data_task.kind == "binary" else np.int32).reshape(-1, 1)
    inputs = {"image": pixels}
    return Data(
        Part(inputs, targets, selected=train, augment=spec.augment),
        Part(inputs, targets, selected=validation),
        profile.class_names,
        facts={"decoding": decoding},
        test=Part(inputs, targets, selected=test) if len(test) else None,
    )


def _split(numbers: npt.NDArray[np.int32], splits: npt.NDArray[Any], spec: ImagesSpec) -> tuple[Rows, Rows, Rows]:
    """The rows of each part. Parts that the archive does not have are split off with the spec's seed."""
    to_split = np.flatnonzero((splits == "") | (splits == "train"))
    own_validation, own_test = (np.flatnonzero(splits == name) for name in ("validation", "test"))
    strata = numbers[to_split] if spec.stratify else None
    fractions = (
        None if len(own_validation) else spec.validation_fraction,
        None if len(own_test) else spec.test_fraction,
    )
    try:
        train, validation, test = split_parts(len(to_split), *fractions, spec.split_seed, strata)
    except CannotSplit as error:
        raise BadData(cannot_split("images", spec, error)) from None
    return (
        to_split[train],
        own_validation if len(own_validation) else to_split[validation],
        own_test if len(own_test) else to_split[test],
    )
