"""From Parquet to arrays."""

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.model_selection import train_test_split

from shared.job import AttemptEnd
from shared.job_folder import AttemptFolder
from shared.times import utc_now
from shared.volume import Volume
from tests.support.forked import call_in_fork
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.wine import article_file, made_file
from worker.training import prepare
from worker.training.data.load import load_data
from worker.training.data.rows import Data
from worker.training.errors import BadData, DataChanged, DataMissing, describe_failure
from worker.training.prepare import TRUSTED_TYPES


def loaded(volume: Volume, frame: pd.DataFrame, **dataset: Any) -> Data:
    put_dataset(volume, frame)
    return loaded_again(volume, **dataset)


def loaded_again(volume: Volume, **dataset: Any) -> Data:
    spec = small_spec()
    spec["dataset"] = {"id": "grades", "target": "grade", **dataset}
    job = put_job(volume, spec)
    record = job.record()
    assert record is not None
    return load_data(claim(job), record)


@pytest.mark.parametrize("file", [article_file, made_file], ids=["the article's or made", "made"])
def test_the_articles_data_has_its_rows_and_features(
    file: Callable[[Path], Path], volume: Volume, tmp_path: Path
) -> None:
    put_dataset(volume, pd.read_csv(file(tmp_path)))
    data = loaded_again(volume, target="quality", positive={"at_least": 6})
    assert (len(data.train.x), len(data.validation.x), data.features, data.dropped_rows) == (5170, 1293, 12, 34)


def test_what_is_learnt_from_the_data_is_learnt_from_the_training_part(volume: Volume) -> None:
    frame = learnable_frame()
    data = loaded(volume, frame, positive={"at_least": 3})
    train, _ = train_test_split(frame, test_size=0.2, random_state=42)
    expected = ((train["a"] - train["a"].mean()) / train["a"].std(ddof=0)).to_numpy(np.float32)
    np.testing.assert_allclose(data.train.x[:, 0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(data.train.x.mean(axis=0), 0, atol=1e-5)


def test_two_categories_make_one_column_and_three_make_three(volume: Volume) -> None:
    frame = learnable_frame()
    assert loaded(volume, frame, positive={"at_least": 3}).features == 4
    three = frame.assign(kind=np.resize(["x", "y", "z"], len(frame)))
    put_dataset(volume, three, "three")
    assert loaded_again(volume, id="three", positive={"at_least": 3}).features == 6


def test_a_category_that_only_the_validation_part_knows_is_all_zeros(volume: Volume) -> None:
    frame = learnable_frame().assign(kind="x")
    _, validation = train_test_split(frame, test_size=0.2, random_state=42)
    frame.loc[frame.index[::2], "kind"] = "z"
    frame.loc[validation.index[0], "kind"] = "y"
    put_dataset(volume, frame)
    with pytest.warns(UserWarning, match="unknown categories"):
        data = loaded_again(volume, positive={"at_least": 3}, scaling="none")
    assert data.validation.x[0, 3:].tolist() == [0.0]


def test_rows_with_a_missing_value_are_dropped_or_filled(volume: Volume) -> None:
    frame = learnable_frame()
    frame.loc[[3, 5, 7], "a"] = np.nan
    frame.loc[[7, 9], "kind"] = None
    frame.loc[11, "grade"] = np.nan
    dropped = loaded(volume, frame, positive={"at_least": 3})
    assert (dropped.dropped_rows, len(dropped.train.x) + len(dropped.validation.x)) == (5, 235)
    filled = loaded_again(volume, positive={"at_least": 3}, missing="impute")
    assert (filled.dropped_rows, len(filled.train.x) + len(filled.validation.x)) == (1, 239)


@pytest.mark.parametrize(
    ("dataset", "dtype", "classes"),
    [
        ({"positive": {"at_least": 3}}, np.float32, None),
        ({"positive": {"one_of": [0, 5]}}, np.float32, None),
        ({}, np.int32, (0, 1, 2, 3, 4, 5)),
        ({"target": "kind"}, np.float32, ("red", "white")),
        ({"target": "c"}, np.float32, None),
    ],
)
def test_the_target_becomes_what_its_task_needs(
    volume: Volume, dataset: dict[str, Any], dtype: type, classes: tuple[Any, ...] | None
) -> None:
    data = loaded(volume, learnable_frame(), **dataset)
    assert (data.train.targets.dtype, data.train.targets.shape[1], data.classes) == (dtype, 1, classes)


def test_the_fitted_steps_are_kept_and_load_without_trusting_the_file(volume: Volume) -> None:
    frame = learnable_frame()
    frame.loc[3, "a"] = np.nan
    data = loaded(volume, frame, positive={"at_least": 3}, missing="impute")
    file = next(volume.jobs.glob("*/*/attempts/1/preprocessing.skops"))
    assert set(skops.io.get_untrusted_types(file=file)) <= set(TRUSTED_TYPES)
    pipeline = skops.io.load(file, trusted=TRUSTED_TYPES)
    train, _ = train_test_split(frame, test_size=0.2, random_state=42)
    again = pipeline.transform(train.drop(columns="grade").astype({"kind": object})).astype(np.float32)
    np.testing.assert_array_equal(again, data.train.x)


def test_each_feature_count_is_the_one_promised_at_the_post(volume: Volume) -> None:
    frame = learnable_frame()
    frame["when"] = pd.to_datetime("2024-01-01") + pd.to_timedelta(frame.index, unit="h")
    frame["sure"] = pd.Series(np.resize([True, False, None], len(frame)), dtype=object)
    frame["name"] = [f"name {row % 50}" for row in range(len(frame))]
    put_dataset(volume, frame)
    for encoding in ("one_hot", "hashing", "target"):
        for target in ("grade", "a"):
            spec = small_spec()
            spec["dataset"] = {"id": "grades", "target": target, "missing": "impute", "categorical_encoding": encoding}
            job = put_job(volume, spec)
            record = job.record()
            assert record is not None
            assert load_data(claim(job), record).features == record.task.features


def test_a_job_keeps_the_preparation_that_it_was_begun_with(volume: Volume) -> None:
    """Before schemas existed, a missing boolean was its own category; a job could not resume with another width."""
    frame = learnable_frame()
    frame["sure"] = pd.Series(np.resize([True, False, None], len(frame)), dtype=object)
    put_dataset(volume, frame)
    spec = small_spec()
    spec["dataset"] = {"id": "grades", "target": "a", "missing": "impute"}
    job = put_job(volume, spec)
    record = job.record()
    assert record is not None
    first = claim(job)
    features = load_data(first, record).features
    first.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    second = claim(job, 2)
    assert load_data(second, record).features == features
    second.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    for attempt in (first, second):
        attempt.schema_file.unlink()
    assert load_data(claim(job, 3), record).features == features + 2
    assert prepare.load(job.attempts()[2].path).schema.version == 1


def test_a_copy_of_the_program_that_prepares_rows_lies_beside_the_model(volume: Volume) -> None:
    loaded(volume, learnable_frame())
    copy = next(volume.jobs.glob("*/*/attempts/1/prepare.py"))
    assert copy.read_text() == Path(prepare.__file__).read_text()


def test_changed_bytes_are_refused(volume: Volume) -> None:
    put_dataset(volume, learnable_frame())
    spec = small_spec()
    job = put_job(volume, spec)
    with volume.data_file("grades").open("ab") as file:
        file.write(b"x")
    record = job.record()
    assert record is not None
    with pytest.raises(DataChanged, match="post the job again"):
        load_data(claim(job), record)
    volume.data_file("grades").unlink()
    with pytest.raises(DataMissing):
        load_data(job.attempts()[0], record)


def test_numbers_that_float32_cannot_hold_are_refused_with_their_column(volume: Volume) -> None:
    frame = learnable_frame()
    frame.loc[3, "b"] = 1e300
    with pytest.raises(BadData, match=r"^b holds numbers that are infinite or too large"):
        loaded(volume, frame, positive={"at_least": 3}, scaling="none")


def test_a_training_part_of_one_class_is_refused(volume: Volume) -> None:
    frame = learnable_frame()
    _, validation = train_test_split(frame, test_size=0.2, random_state=42)
    frame["grade"] = 0
    frame.loc[validation.index[0], "grade"] = 5
    with pytest.raises(BadData, match="stratify"):
        loaded(volume, frame, positive={"at_least": 3})


def load_with_little_memory(folder: Path) -> str:
    """Load an attempt's data with 400 MB more memory than now, and return the description of a failure."""
    attempt = AttemptFolder(folder, 1)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 400 * 1024**2,) * 2)
    try:
        load_data(attempt, attempt.job.record())
    except Exception as error:
        told, may_retry = describe_failure(error, attempt.volume_root)
        return f"{told.code} {may_retry} {told.message}"
    return "it fits"


def test_data_that_does_not_fit_into_memory_is_told_with_its_sizes_and_may_fit_elsewhere(volume: Volume) -> None:
    rows = 100_000
    codes = np.arange(rows) % 1000
    put_dataset(volume, pd.DataFrame({"code": [f"c{code}" for code in codes], "grade": codes % 6}))
    job = put_job(volume, small_spec())
    told = call_in_fork(load_with_little_memory, claim(job).path)
    assert told.startswith("data_larger_than_memory True ")
    assert "100,000 rows of 1,000 features of 4 bytes are 0.37 GiB" in told


@pytest.mark.parametrize(("row", "value"), [(3, 1e39), (3, -1e300), (8, 1e39)])
def test_a_target_that_float32_cannot_hold_is_refused_with_its_name_and_value(
    volume: Volume, row: int, value: float
) -> None:
    frame = learnable_frame()
    frame.loc[row, "c"] = value
    put_dataset(volume, frame)
    job = put_job(volume, small_spec(dataset={"target": "b", "positive": None}))
    record = job.record()
    assert record is not None
    # As stored before posts were checked by the target's range.
    dataset = record.spec.dataset.model_copy(update={"target": "c"})
    record = record.model_copy(update={"spec": record.spec.model_copy(update={"dataset": dataset})})
    with pytest.raises(BadData, match=rf'^the target "c" holds {value:g}'.replace("+", r"\+")):
        load_data(claim(job), record)


@pytest.mark.parametrize("dataset", [{}, {"positive": {"equals": 5}}])
def test_rows_that_do_not_keep_the_posts_promise_are_bad_data(volume: Volume, dataset: dict[str, Any]) -> None:
    """A check by profiles alone accepts specs that the rows do not satisfy."""
    frame = learnable_frame()
    frame.loc[2:, "a"] = np.nan
    frame["grade"] = [0, 0, *[0, 5] * 119]
    with pytest.raises(BadData):
        loaded(volume, frame, **dataset)


@pytest.mark.parametrize("target", ["kind", "grade", "flag", "many"])
@pytest.mark.parametrize("stratify", [False, True])
def test_both_parts_are_those_of_scikit_learn(volume: Volume, target: str, stratify: bool) -> None:
    frame = learnable_frame().assign(flag=np.resize([True, False, False], 240), many=np.resize(np.arange(12), 240))
    frame.loc[[3, 50, 77], "a"] = np.nan
    data = loaded(volume, frame, target=target, stratify=stratify, scaling="none")
    left = frame.dropna()
    numbers = np.unique(left[target].to_numpy(), return_inverse=True)[1].astype(data.train.targets.dtype).reshape(-1, 1)
    train, validation, train_y, validation_y = train_test_split(
        left, numbers, test_size=0.2, random_state=42, stratify=numbers if stratify else None
    )
    np.testing.assert_array_equal(data.train.x[:, 0], train["a"].to_numpy(np.float32))
    np.testing.assert_array_equal(data.validation.x[:, 0], validation["a"].to_numpy(np.float32))
    np.testing.assert_array_equal(data.train.targets, train_y)
    np.testing.assert_array_equal(data.validation.targets, validation_y)
