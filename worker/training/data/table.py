"""From a Parquet file to arrays: rows with missing values, categories, the target, the split, the scaling.

What is learnt from the data (categories, means) is learnt from the training part only, and is kept beside the model.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import skops.io
from sklearn.utils.class_weight import compute_sample_weight

from shared.dataset import NUMBER_MARKS, TEXT_MARKS, Column, DatasetInfo
from shared.durable import replace_file
from shared.features import encoding_of
from shared.job import JobRecord
from shared.job_folder import AttemptFolder
from shared.rows import CannotSplit, Columns, Selection, complete_rows, first_beyond_float32, select_rows
from shared.spec import DatasetSpec
from shared.storage import at_path
from shared.volume import data_file_of, dataset_of
from worker.machine.memory import data_shortage
from worker.training import prepare
from worker.training.errors import BadData, DataChanged, DataLargerThanMemory, DataMissing

_PIECE = 1024 * 1024


@dataclass(frozen=True)
class Data:
    """The arrays of a run: inputs float32 of shape (rows, features), targets of shape (rows, 1).

    Targets are float32 (0 and 1 where binary), int32 class numbers where multi-class; `classes` are the target's
    values by number, None for a regression and for `positive`; `train_weights` is what a row counts for in the loss,
    of shape (rows,), None where all count for one.
    """

    train_x: npt.NDArray[np.float32]
    train_y: npt.NDArray[Any]
    train_weights: npt.NDArray[np.float32] | None
    validation_x: npt.NDArray[np.float32]
    validation_y: npt.NDArray[Any]
    classes: tuple[Any, ...] | None
    dropped_rows: int

    @property
    def training(self) -> tuple[npt.NDArray[Any], ...]:
        """What a training step takes: inputs, targets, and weights where there are some."""
        arrays = (self.train_x, self.train_y)
        return arrays if self.train_weights is None else (*arrays, self.train_weights)

    @property
    def validation(self) -> tuple[npt.NDArray[Any], ...]:
        """What a validation step takes."""
        return self.validation_x, self.validation_y

    @property
    def features(self) -> int:
        return int(self.train_x.shape[1])


def load_data(attempt: AttemptFolder, record: JobRecord) -> Data:
    """The job's data, ready to train on; leaves the fitted preprocessing in the attempt's folder.

    Raises DataMissing, DataChanged, DataLargerThanMemory, or BadData with a sentence that says how to fix it.
    """
    try:
        return _prepare(attempt, record)
    except MemoryError as error:
        raise DataLargerThanMemory(data_shortage(attempt).message) from error


def _prepare(attempt: AttemptFolder, record: JobRecord) -> Data:
    spec = record.spec.dataset
    path = data_file_of(attempt.job, spec.id)
    frame = _read(path, record.data_sha256)
    used = frame.drop(columns=list(spec.drop_columns))
    rows = _select(path, used, record)
    train_y, validation_y = _targets(used[spec.target], rows, record)
    inputs = used.drop(columns=spec.target)
    train_x, validation_x = inputs.iloc[rows.train], inputs.iloc[rows.validation]
    schema = schema_of(_profile(attempt, spec), record, _version(attempt))
    preparation, matrix = prepare.fit(train_x, train_y.ravel(), schema)
    data = Data(
        _finite(matrix, inputs),
        train_y,
        _weights(train_y, record),
        _finite(preparation.transform(validation_x), inputs),
        validation_y,
        rows.codes.values if rows.codes and spec.positive is None else None,
        len(used) - len(rows.train) - len(rows.validation),
    )
    _keep(preparation, attempt)
    return data


def schema_of(info: DatasetInfo, record: JobRecord, version: int = prepare.NEWEST_VERSION) -> prepare.Schema:
    """The input columns as the dataset's profile knows them, encoded as the job's spec says."""
    spec = record.spec.dataset
    left_out = {spec.target, *spec.drop_columns}
    own_marks = None if info.missing_values is None else ("", *info.missing_values)
    return prepare.Schema(
        tuple(_input(column, spec) for column in info.columns if column.name not in left_out),
        missing=spec.missing,
        scaling=spec.scaling,
        task=record.task.kind,
        seed=spec.split_seed,
        text_marks=own_marks or TEXT_MARKS,
        number_marks=own_marks or NUMBER_MARKS,
        version=version,
    )


def _input(column: Column, spec: DatasetSpec) -> prepare.Input:
    return prepare.Input(
        column.name,
        column.kind,
        encoding_of(column, spec),
        hash_columns=spec.hashing_columns,
        datetime_format=column.datetime_format,
    )


def _version(attempt: AttemptFolder) -> int:
    """The version of the schema: a job keeps the one that it was begun with, so that resuming it stays exact."""
    for run in attempt.job.runs():
        if run.number != attempt.number and run.preprocessing_file.exists():
            return prepare.Schema.from_json(run.schema_file.read_bytes()).version if run.schema_file.exists() else 1
    return prepare.NEWEST_VERSION


def _keep(preparation: prepare.Preparation, attempt: AttemptFolder) -> None:
    """Leave the preparation beside the model. The fitted steps come last: they are there when all is."""
    replace_file(attempt.prepare_file, Path(prepare.__file__).read_bytes())
    replace_file(attempt.schema_file, preparation.schema.to_json())
    replace_file(attempt.preprocessing_file, skops.io.dumps(preparation.steps))


def _profile(attempt: AttemptFolder, spec: DatasetSpec) -> DatasetInfo:
    profile = dataset_of(attempt.job, spec.id)
    if profile is None:
        raise DataMissing("the dataset's profile is not on the volume")
    return profile


def _read(path: Path, sha256: str) -> pd.DataFrame:
    try:
        if _sha256(path) != sha256:
            raise DataChanged("the dataset has changed since the job was posted; post the job again")
        with at_path(path):
            frame = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise DataMissing("the dataset is not on the volume") from error
    # scikit-learn and skops know texts as plain objects; pandas' own string types differ between its versions.
    texts = frame.select_dtypes(include=["string", "str", "category"]).columns
    return frame.astype(dict.fromkeys(texts, object))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with at_path(path), path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _select(path: Path, used: pd.DataFrame, record: JobRecord) -> Selection:
    """The rows of both parts, as they were judged when the job was posted."""
    spec = record.spec.dataset
    columns = Columns(path)
    needed = [spec.target] if spec.missing == "impute" else list(used.columns)
    kept = complete_rows(columns, needed, len(used))
    if len(kept) < 2:
        raise BadData(
            f"{len(kept)} of {len(used)} rows have a value in every column; drop the columns that are mostly empty, "
            'or use "missing": "impute"'
        )
    try:
        rows = select_rows(columns, spec, kept, has_classes=record.task.kind != "regression")
    except CannotSplit as error:
        raise BadData(
            f"the rows cannot be split with validation_fraction {spec.validation_fraction:g}: {error}"
        ) from None
    if rows.codes and sum(held > 0 for held in rows.class_rows(rows.train)) < 2:
        raise BadData(f'the training part holds one class of "{spec.target}" only; use "stratify": true or more rows')
    return rows


def _targets(column: "pd.Series[Any]", rows: Selection, record: JobRecord) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The targets of both parts, each of shape (rows, 1)."""
    if rows.codes is not None:
        dtype = np.float32 if record.task.kind == "binary" else np.int32
        numbers = rows.codes.numbers.astype(dtype).reshape(-1, 1)
        return numbers[rows.train], numbers[rows.validation]
    train, validation = column.iloc[rows.train], column.iloc[rows.validation]
    for part in (train, validation):
        beyond = first_beyond_float32(part.to_numpy(np.float64))
        if beyond is not None:
            raise BadData(f'the target "{column.name}" holds {beyond:g}, too large for float32; fix or remove its row')
    return train.to_numpy(np.float32).reshape(-1, 1), validation.to_numpy(np.float32).reshape(-1, 1)


def _weights(train_y: npt.NDArray[Any], record: JobRecord) -> npt.NDArray[np.float32] | None:
    """By "balanced" each class counts for as much as any other: rows / (classes * rows of the class)."""
    if record.spec.hyperparameters.class_weight is None:
        return None
    weights: npt.NDArray[np.float32] = compute_sample_weight("balanced", train_y.ravel()).astype(np.float32)
    return weights


def _finite(matrix: npt.NDArray[np.float32], inputs: pd.DataFrame) -> npt.NDArray[np.float32]:
    """The matrix. Numbers that are not finite are refused: relu swallows NaN on a CPU, the loss hides it."""
    if not np.isfinite(matrix).all():
        numbers = inputs.select_dtypes(include="number")
        greatest = numbers.abs().max()
        bad = [str(name) for name in numbers.columns if not greatest[name] <= np.finfo(np.float32).max]
        names = ", ".join(bad) or "a column"
        raise BadData(f"{names} holds numbers that are infinite or too large for float32; fix or drop it")
    return matrix
