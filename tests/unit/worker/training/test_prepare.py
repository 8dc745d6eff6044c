"""One preparation for training, validation and prediction: every combination, and each rule by itself."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from itertools import cycle, product

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from shared.dataset import NUMBER_MARKS, TEXT_MARKS, DatasetInfo
from shared.features import DATE_FEATURES, count_features
from shared.ids import new_job_id
from shared.job import JobRecord
from shared.resolve import resolve
from shared.spec import JobSpec
from shared.times import utc_now
from shared.validation import validate
from tests.support.jobs import column_of
from worker.training import prepare
from worker.training.data.table import schema_of
from worker.training.prepare import Input, Preparation, Schema

ROWS, TRAINING = 60, 45
TEXTS = ["007", "7", "a, b", 'say "hi"', "é", "true", "1.50"]
TARGETS = {
    "regression": [number / 7 for number in range(ROWS)],
    "binary": [number % 2 for number in range(ROWS)],
    "multiclass": [number % 3 for number in range(ROWS)],
}
GAPS = {
    "drop": ["none", "training", "validation", "both"],
    "impute": ["none", "training", "validation", "both", "whole training"],
}


def cells_of(kind):
    """Return one value for each row; among texts and whole numbers the validation part has an unknown one."""
    generator = np.random.default_rng(7)
    if kind == "float":
        return [float(value) for value in generator.normal(size=ROWS) * 1e3 + 1 / 3]
    if kind == "integer":
        return [*(int(value) for value in generator.integers(-3, 4, ROWS - 1)), 99]
    if kind == "boolean":
        return [bool(value) for value in generator.integers(0, 2, ROWS)]
    if kind == "text":
        return [*(TEXTS[number] for number in generator.integers(0, len(TEXTS), ROWS - 1)), "never seen"]
    steps = generator.integers(0, 10**9, ROWS)
    start = datetime(2024, 1, 31, 5, tzinfo=UTC).replace(tzinfo=None)
    return [start + timedelta(seconds=int(step) / 8) for step in steps]


def with_gaps(cells, gaps):
    spots = {
        "none": [],
        "training": [0, 3, 17],
        "validation": [TRAINING, TRAINING + 5],
        "both": [1, 2, 40, TRAINING + 1],
        "whole training": range(TRAINING),
    }[gaps]
    return [None if number in spots else cell for number, cell in enumerate(cells)]


def series_of(kind, cells):
    """Return the column as pandas reads it from the dataset's Parquet file."""
    if kind == "datetime":
        return pd.Series(cells, dtype="datetime64[us]")
    if None in cells:
        return pd.Series(cells, dtype={"float": float, "integer": float}.get(kind, object))
    return pd.Series(cells, dtype=object if kind == "text" else None)


def csv_of(frame, kind):
    """Return the rows as a CSV file that a person might have written."""
    marks = TEXT_MARKS if kind == "text" else NUMBER_MARKS
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["other", *frame.columns])
    for number, row in enumerate(frame.itertuples(index=False)):
        writer.writerow(["x", *(written(cell, marks[number % len(marks)]) for cell in row)])
    return text.getvalue()


def written(cell, mark):
    if cell is None or cell is pd.NaT or (isinstance(cell, float) and np.isnan(cell)):
        return mark
    if isinstance(cell, bool | np.bool_):
        return str(cell).lower()
    return cell.isoformat() if isinstance(cell, datetime) else str(cell)


def information(frame):
    return DatasetInfo(
        id="grades", created_at=utc_now(), source_name=None, source_format="csv", sha256="0" * 64, bytes=1,
        data_sha256="0" * 64, rows=len(frame), columns=tuple(column_of(frame[name]) for name in frame.columns),
    )  # fmt: skip


def record_of(info, task, **dataset):
    asked = {
        "dataset": {"id": "grades", "target": "goal", **dataset},
        "hyperparameters": {"loss": "mean_squared_error" if task == "regression" else "auto"},
    }
    resolved = resolve(validate(JobSpec, asked), info)
    return JobRecord(
        id=new_job_id(), created_at=utc_now(), spec=resolved.spec, task=resolved.task, data_sha256="0" * 64
    )


def combinations(encoding):
    """Yield every combination of the choices, with the ways of scaling in turn."""
    tasks = TARGETS if encoding == "target" else ["regression"]
    scaling = cycle(["none", "standard", "minmax", "robust"])
    for missing in ("drop", "impute"):
        for choices in product([missing], GAPS[missing], [False, True], tasks):
            yield *choices, next(scaling)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("encoding", ["one_hot", "hashing", "target"])
@pytest.mark.parametrize("kind", ["float", "integer", "boolean", "text", "datetime"])
def test_the_rows_of_a_csv_file_are_prepared_as_the_validation_part_was(kind, encoding, tmp_path):
    """predict.py prepares the validation rows as the model's validation did, bit for bit."""
    seen = 0
    for missing, gaps, is_named, task, scaling in combinations(encoding):
        frame = pd.DataFrame({"size": cells_of("float"), "it": series_of(kind, with_gaps(cells_of(kind), gaps))})
        info = information(frame.assign(goal=TARGETS[task]))
        spec = {"missing": missing, "scaling": scaling, "categorical_encoding": encoding, "hashing_columns": 8}
        record = record_of(info, task, **spec, categorical=["it"] if is_named else "auto")
        used = frame.dropna() if missing == "drop" else frame
        train, validation = used[used.index < TRAINING], used[used.index >= TRAINING]
        goal = np.array(TARGETS[task], np.float32)[train.index]

        preparation, matrix = prepare.fit(train, goal, schema_of(info, record, record.spec.dataset))
        expected = preparation.transform(validation)
        (tmp_path / "rows.csv").write_text(csv_of(frame[frame.index >= TRAINING], kind))
        (tmp_path / "schema.json").write_bytes(preparation.schema.to_json())
        loaded = Preparation(Schema.from_json((tmp_path / "schema.json").read_bytes()), preparation.steps)
        rows = loaded.read(tmp_path / "rows.csv")
        whole = loaded.is_complete(rows)

        place = (missing, gaps, is_named, task, scaling)
        assert whole.sum() == len(validation), place
        assert loaded.transform(rows[whole]).tobytes() == expected.tobytes(), place
        assert np.isfinite(matrix).all(), place
        assert np.isfinite(expected).all(), place
        distinct = train["it"].nunique()
        means = 3 if task == "multiclass" else 1
        assert matrix.shape[1] == 1 + count_features(info.columns[1], record.spec.dataset, distinct, means), place
        seen += 1
    assert seen == 18 * (3 if encoding == "target" else 1)


def fitted(kind, train, target=None, **choices):
    """Fit a preparation of the column `it` on these cells."""
    encoding = choices.pop("encoding", {"datetime": "date", "text": "one_hot"}.get(kind, "number"))
    inputs = (Input("it", kind, encoding, hash_columns=8),)
    schema = Schema(inputs, scaling="none", number_marks=NUMBER_MARKS, **choices)
    target = np.arange(len(train), dtype=np.float32) if target is None else target
    return prepare.fit(pd.DataFrame({"it": series_of(kind, train)}), target, schema)


def read(preparation, folder, text, name="rows.csv"):
    content = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(content)
    return preparation.transform(preparation.read(folder / name)).tolist()


def test_a_file_that_excel_dos_or_a_person_wrote_is_read_as_at_upload(tmp_path):
    preparation, _ = fitted("text", ["a", "b;", "c"])
    expected = [[1, 0, 0], [0, 1, 0]]
    assert read(preparation, tmp_path, '\ufeffsep=;\r\nother;it\r\n1; a\r\n\r\n2;"b;"\r\n\x1a') == expected
    assert read(preparation, tmp_path, 'other, it \n1, a \n2, "b;"') == expected
    assert read(preparation, tmp_path, "it\tother\na\t1\nb;\t2\n") == expected


def test_a_name_in_another_unicode_form_names_the_same_column(tmp_path):
    schema = Schema((Input("\u00e9t\u00e9", "float", "number"),), scaling="none")
    preparation, _ = prepare.fit(pd.DataFrame({"\u00e9t\u00e9": [1.0, 2.0]}), np.zeros(2), schema)
    assert read(preparation, tmp_path, "x,e\u0301te\u0301\n1,5\n") == [[5]]


@pytest.mark.parametrize(
    ("kind", "cells", "text", "said"),
    [
        ("float", [1.0, 2.0], "it,b\n1,2\nfour,2\n", 'row 2, column "it": \'four\' is not a number'),
        ("float", [1.0, 2.0], "it,b\n1e999,2\n", "row 1"),
        ("float", [1.0, 2.0], "it,b\ninf,2\n", "not a number"),
        ("float", [1.0, 2.0], "it,b\n1_000,2\n", "not a number"),
        ("boolean", [True, False], "it,b\n2,1\n", "'2' is not true or false"),
        ("datetime", [datetime.fromisoformat("2024-01-01")] * 2, "it,b\n1.2.2024,1\n", "not a date or time written as"),
        ("float", [1.0, 2.0], "a,b\n1,2\n", 'has no column "it"; it has a, b'),
        ("float", [1.0, 2.0], "it,b\n1,2,3\n", "row 1 holds 3 cells, expected 2"),
        ("float", [1.0, 2.0], "", "has no header"),
        ("float", [1.0, 2.0], "it,it\n1,2\n", "has two columns of the name"),
        ("float", [1.0, 2.0], 'it,b\n"1,2\n', "is not a CSV file"),
        ("float", [1.0, 2.0], b"it,b\n\xff,2\n", "utf-8"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_with_the_place(kind, cells, text, said, tmp_path):
    preparation, _ = fitted(kind, cells)
    with pytest.raises(ValueError, match=re.escape(said)):
        read(preparation, tmp_path, text)


@pytest.mark.parametrize("place", ["column", "index"])
@pytest.mark.parametrize("kind", ["float", "integer", "boolean", "text", "datetime"])
def test_a_parquet_file_gives_what_the_csv_file_gives(kind, place, tmp_path):
    cells = with_gaps(cells_of(kind)[:TRAINING], "training")
    preparation, _ = fitted(kind, cells, missing="impute")
    frame = pd.DataFrame({"it": series_of(kind, cells)})
    frame.assign(size=0.5).set_index("it" if place == "index" else "size").to_parquet(tmp_path / "rows.parquet")
    parquet = preparation.transform(preparation.read(tmp_path / "rows.parquet")).tolist()
    assert parquet == read(preparation, tmp_path, csv_of(frame, kind))


def test_a_date_becomes_its_parts_and_its_age_at_the_newest_training_row(tmp_path):
    preparation, matrix = fitted("datetime", [datetime.fromisoformat(f"2024-0{month}-15T12:30") for month in (3, 1, 2)])
    assert matrix.shape == (3, DATE_FEATURES)
    # In the training part year, day, hour and minute are constant: they say nothing, and are always 0.
    assert matrix.tolist() == [[0, 3, 0, 4, 0, 0, 0], [0, 1, 0, 0, 0, 0, 60], [0, 2, 0, 3, 0, 0, 29]]
    later = read(preparation, tmp_path, "it,b\n2025-03-17 00:30:00+12:00,1\n")
    assert later == [[0, 3, 0, 6, 0, 0, -366]]


def test_a_date_is_read_in_the_form_of_the_upload(tmp_path):
    schema = Schema((Input("it", "datetime", "date", datetime_format="%d.%m.%Y %H:%M"),), scaling="none")
    moments = pd.to_datetime(["2024-02-01", "2024-03-05"]).as_unit("us")
    preparation, matrix = prepare.fit(pd.DataFrame({"it": moments}), np.zeros(2), schema)
    assert read(preparation, tmp_path, "it,b\n1.2.2024 0:00,1\n05.03.2024 00:00,1\n") == matrix.tolist()


def test_a_hash_never_changes_between_machines_and_releases(tmp_path):
    preparation, matrix = fitted("text", ["red", "blue", None], encoding="hashing", missing="impute")
    assert matrix.argmax(axis=1).tolist()[:2] == [5, 1]
    assert matrix.sum(axis=1).tolist() == [1, 1, 0], "a missing value sets no column"
    assert read(preparation, tmp_path, "it,b\nred,1\n") == matrix[:1].tolist()


def test_target_encoding_is_fitted_on_other_rows_of_the_training_part_and_is_the_same_each_time():
    cells, target = ["a", "b", "c"] * 20, np.tile([0.0, 1.0, 5.0], 20).astype(np.float32)
    _, matrix = fitted("text", cells, target, encoding="target")
    _, again = fitted("text", cells, target, encoding="target")
    assert matrix.tobytes() == again.tobytes()
    np.testing.assert_allclose(matrix[:3, 0], [0, 1, 5], atol=0.2)
    _, lone = fitted("text", [f"name {number}" for number in range(60)], target, encoding="target")
    assert abs(np.corrcoef(lone[:, 0], target)[0, 1]) < 0.5, "a value of one row does not give its target away"
    _, two = fitted("text", cells, target == 5, encoding="target", task="multiclass")
    assert two.shape == (60, 1), "of three classes the training part holds two"
    _, few = fitted("text", ["a", "b"], target[:2], encoding="target")
    assert np.isfinite(few).all()


def test_a_preparation_is_saved_and_loaded_without_trusting_the_file(tmp_path):
    for encoding in ("one_hot", "hashing", "target"):
        cells = [None, *"abcabc"]
        preparation, _ = fitted("text", cells, encoding=encoding, missing="impute")
        skops.io.dump(preparation.steps, tmp_path / "preprocessing.skops")
        (tmp_path / "schema.json").write_bytes(preparation.schema.to_json())
        loaded = prepare.load(tmp_path)
        rows = pd.DataFrame({"it": cells})
        assert loaded.schema == preparation.schema
        assert loaded.transform(rows).tobytes() == preparation.transform(rows).tobytes()


def steps_before_schemas():
    """Return the steps of a job with `impute`, as fitted before schemas existed."""
    one_hot = OneHotEncoder(drop="if_binary", handle_unknown="ignore", sparse_output=False)
    categories = Pipeline([("fill", SimpleImputer(strategy="most_frequent")), ("encode", one_hot)])
    groups = [
        ("numbers", SimpleImputer(strategy="median"), ["size", "whole"]),
        ("categories", categories, ["sure", "kind", "named"]),
    ]
    return Pipeline([("columns", ColumnTransformer(groups)), ("scale", StandardScaler())])


def frame_before_schemas():
    return pd.DataFrame(
        {
            "size": [1.5, np.nan, 3.25, 4.0],
            "sure": pd.Series([True, None, False, True], dtype=object),
            "whole": [True, False, True, True],
            "kind": pd.Series(["red", np.nan, " blue", "red"], dtype=object),
            "named": [3, 1, 2, 3],
        }
    )


def test_a_bundle_from_before_schemas_predicts_what_was_trained(tmp_path):
    """In it a missing boolean is its own category, also if a CSV file leaves its cell empty."""
    frame, steps = frame_before_schemas(), steps_before_schemas()
    expected = steps.fit_transform(frame).astype(np.float32)
    skops.io.dump(steps, tmp_path / "preprocessing.skops")
    dataset = {"missing": "impute", "scaling": "standard"}
    (tmp_path / "job.json").write_text(json.dumps({"spec": {"dataset": dataset}}))
    loaded = prepare.load(tmp_path)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    rows = loaded.read(tmp_path / "rows.csv")
    assert loaded.is_complete(rows).all()
    assert loaded.transform(rows).tobytes() == expected.tobytes()


def test_a_job_from_before_schemas_is_resumed_with_what_it_was_trained_on():
    frame = frame_before_schemas()
    expected = steps_before_schemas().fit_transform(frame).astype(np.float32)
    info = information(frame.assign(goal=[1.0, 2.0, 3.0, 4.0]))
    record = record_of(info, "regression", missing="impute", categorical=["kind", "named"])
    _, matrix = prepare.fit(frame, np.arange(4), schema_of(info, record, record.spec.dataset, version=1))
    assert matrix.tobytes() == expected.tobytes()
    _, matrix = prepare.fit(frame, np.arange(4), schema_of(info, record, record.spec.dataset))
    assert matrix.shape[1] == record.task.features, "today it makes one feature, as promised at the post"
