"""Loads a table as arrays: handles missing values, splits the rows, encodes categories, scales numbers.

The preprocessing is fitted on the training part only, and saved next to the model.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import skops.io

from shared.dataset import NUMBER_MARKS, TEXT_MARKS, Column, DatasetInfo
from shared.durable import replace_file
from shared.earlier_model import EarlierModel
from shared.features import encoding_of
from shared.job import JobRecord
from shared.job_folder import AttemptFolder
from shared.resolve.earlier import column_misfits
from shared.rows import CannotSplit, Columns, Rows, Selection, complete_rows, first_beyond_float32, select_rows
from shared.spec import TableSpec
from shared.storage import at_path
from worker.training import prepare
from worker.training.data.files import cannot_split, find_data_file, find_profile
from worker.training.data.rows import Data, Part
from worker.training.errors import BadData


def load_table(attempt: AttemptFolder, record: JobRecord, spec: TableSpec, earlier: EarlierModel | None = None) -> Data:
    """Load the rows of the table, and save the fitted preprocessing in the attempt's folder.

    With an `earlier` model, its preprocessing is used and not fitted again. Inputs are float32 of shape
    (rows, features). Targets have shape (rows, 1): int32 class numbers if multi-class, else float32 (0 or 1 if binary).
    Raises DataMissing, DataChanged, or BadData, which says how to fix the data.
    """
    path = find_data_file(attempt, spec.id, record.data_sha256)
    frame = _read(path)
    used = frame.drop(columns=list(spec.drop_columns))
    rows = _select(path, used, record, spec)
    train_y, validation_y, test_y = _targets(used[spec.target], rows, record)
    inputs = used.drop(columns=spec.target)
    train_x = inputs.iloc[rows.train]
    profile = find_profile(attempt, spec.id)
    if earlier is None:
        schema = schema_of(profile, record, spec, _version(attempt))
        preparation, matrix = prepare.fit(train_x, train_y.ravel(), schema)
    else:
        preparation = _earlier_preparation(earlier, spec, profile)
        matrix = preparation.transform(train_x)

    data = Data(
        Part({"rows": _finite(matrix, inputs)}, train_y),
        _held_part(preparation, inputs, rows.validation, validation_y),
        rows.codes.values if rows.codes and spec.positive is None else None,
        len(used) - len(rows.train) - len(rows.validation) - len(rows.test),
        test=_held_part(preparation, inputs, rows.test, test_y) if len(rows.test) else None,
    )
    _keep(preparation, attempt)
    return data


def _held_part(preparation: prepare.Preparation, inputs: pd.DataFrame, rows: Rows, targets: npt.NDArray[Any]) -> Part:
    """The validation or test part."""
    return Part({"rows": _finite(preparation.transform(inputs.iloc[rows]), inputs)}, targets, dataset_rows=rows)


def _earlier_preparation(earlier: EarlierModel, spec: TableSpec, profile: DatasetInfo) -> prepare.Preparation:
    misfits = column_misfits(earlier, spec, profile)
    if misfits:
        raise BadData(f"the model of {earlier.ancestor.job}: {misfits[0].detail}")
    return prepare.load(earlier.folder)


def schema_of(
    info: DatasetInfo, record: JobRecord, spec: TableSpec, version: int = prepare.NEWEST_VERSION
) -> prepare.Schema:
    """The input columns of the dataset's profile, with the encodings of the job's spec."""
    left_out = {spec.target, *spec.drop_columns}
    own_marks = None if info.missing_values is None else ("", *info.missing_values)
    return prepare.Schema(
        tuple(_input(column, spec) for column in info.columns if column.name not in left_out),
        missing=spec.missing,
        scaling=spec.scaling,
        task=record.data_task.kind,
        seed=spec.split_seed,
        text_marks=own_marks or TEXT_MARKS,
        number_marks=own_marks or NUMBER_MARKS,
        version=version,
    )


def _input(column: Column, spec: TableSpec) -> prepare.Input:
    return prepare.Input(
        column.name,
        column.kind,
        encoding_of(column, spec),
        hash_columns=spec.hashing_columns,
        datetime_format=column.datetime_format,
    )


def _version(attempt: AttemptFolder) -> int:
    """The version of the schema. A job keeps that of its first attempt, so that a resume is exact."""
    for run in attempt.job.runs():
        if run.number != attempt.number and run.preprocessing_file.exists():
            return prepare.Schema.from_json(run.schema_file.read_bytes()).version if run.schema_file.exists() else 1
    return prepare.NEWEST_VERSION


def _keep(preparation: prepare.Preparation, attempt: AttemptFolder) -> None:
    """Save the preparation next to the model. The fitted steps come last: if they exist, all files do."""
    replace_file(attempt.prepare_file, Path(prepare.__file__).read_bytes())
    replace_file(attempt.schema_file, preparation.schema.to_json())
    replace_file(attempt.preprocessing_file, skops.io.dumps(preparation.steps))


def _read(path: Path) -> pd.DataFrame:
    with at_path(path):
        frame = pd.read_parquet(path)
    # As plain objects, for scikit-learn and skops: pandas' string types differ between its versions.
    texts = frame.select_dtypes(include=["string", "str", "category"]).columns
    return frame.astype(dict.fromkeys(texts, object))


def _select(path: Path, used: pd.DataFrame, record: JobRecord, spec: TableSpec) -> Selection:
    """The rows of each part, selected by the code that checked them when the job was posted. Raises BadData."""
    columns = Columns(path)
    needed = [spec.target] if spec.missing == "impute" else list(used.columns)
    kept = complete_rows(columns, needed, len(used))
    if len(kept) < 2:
        raise BadData(
            f"{len(kept)} of {len(used)} rows have a value in every column; drop the columns that are mostly empty, "
            'or use "missing": "impute"'
        )
    try:
        rows = select_rows(columns, spec, kept, has_classes=record.data_task.kind != "regression")
    except CannotSplit as error:
        raise BadData(cannot_split("rows", spec, error)) from None
    if rows.codes and sum(held > 0 for held in rows.class_rows(rows.train)) < 2:
        raise BadData(f'the training part holds only one class of "{spec.target}"; use "stratify": true or more rows')
    return rows


def _targets(column: "pd.Series[Any]", rows: Selection, record: JobRecord) -> list[npt.NDArray[Any]]:
    """The targets of the training, validation and test part, each of shape (rows, 1)."""
    parts = (rows.train, rows.validation, rows.test)
    if rows.codes is not None:
        dtype = np.float32 if record.data_task.kind == "binary" else np.int32
        numbers = rows.codes.numbers.astype(dtype).reshape(-1, 1)
        return [numbers[part] for part in parts]
    found = [column.iloc[part] for part in parts]
    for part in found:
        beyond = first_beyond_float32(part.to_numpy(np.float64))
        if beyond is not None:
            raise BadData(f'the target "{column.name}" holds {beyond:g}, too large for float32; fix or remove its row')
    return [part.to_numpy(np.float32).reshape(-1, 1) for part in found]


def _finite(matrix: npt.NDArray[np.float32], inputs: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Return the matrix. Raises BadData if a number is not finite, because on a CPU relu hides NaN from the loss."""
    if not np.isfinite(matrix).all():
        numbers = inputs.select_dtypes(include="number")
        greatest = numbers.abs().max()
        bad = [str(name) for name in numbers.columns if not greatest[name] <= np.finfo(np.float32).max]
        names = ", ".join(bad) or "a column"
        raise BadData(f"{names} holds numbers that are infinite or too large for float32; fix or drop it")
    return matrix
