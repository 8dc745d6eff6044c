"""Arrays as rows: memory-mapped, never copied whole, with the types that Keras computes with."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.dataset import ArrayProfile
from shared.volume import Volume
from tests.support.jobs import claim, put_job
from tests.support.kinds import put_arrays
from worker.training import prepare_arrays
from worker.training.data.load import load_data
from worker.training.data.rows import Data, Part
from worker.training.engine.blocks import on_disk
from worker.training.errors import DataChanged, DataMissing

CHANCE = np.random.default_rng(5)
X = CHANCE.normal(size=(50, 3))
CLASSES = np.arange(50, dtype=np.int64) % 3


def loaded(volume: Volume, hyperparameters: dict[str, Any] | None = None, **dataset: Any) -> Data:
    job = put_job(
        volume,
        {
            "dataset": {"kind": "arrays", "id": "rows", **dataset},
            "model": {"kind": "dense"},
            "hyperparameters": hyperparameters or {},
        },
    )
    record = job.record()
    assert record is not None
    return load_data(claim(job), record)


@pytest.mark.parametrize(
    ("given", "trained"),
    [("f8", "f4"), ("f2", "f4"), ("f4", "f4"), ("u1", "u1"), ("i8", "i8"), ("?", "?")],
)
def test_floats_of_any_width_are_trained_as_float32_and_other_types_as_they_are(
    volume: Volume, given: str, trained: str
) -> None:
    x = (X * 10).astype(given)
    put_arrays(volume, "rows", x=x, y=CLASSES)
    data = loaded(volume)
    assert data.train.x.dtype == given, "the file is as it was uploaded"
    taken, targets = data.train.take(slice(0, 7))
    assert taken.dtype == data.train.dtypes[0] == trained
    assert targets.dtype == np.int32
    assert data.train.selected is not None
    assert np.array_equal(taken, x[data.train.selected[:7]].astype(trained))
    assert data.train.nbytes == 40 * (3 * np.dtype(trained).itemsize + 4)


def test_the_arrays_are_mapped_and_both_parts_are_rows_of_the_same(volume: Volume) -> None:
    put_arrays(volume, "rows", x=X, y=CLASSES)
    data = loaded(volume)
    assert isinstance(data.train.x, np.memmap)
    assert data.train.x.base is data.validation.x.base
    assert on_disk(data.train).x is data.train.x
    assert sorted([*data.train.selected, *data.validation.selected]) == list(range(50))  # type: ignore[misc]


def test_a_stratified_split_has_the_same_classes_in_both_parts(volume: Volume) -> None:
    put_arrays(volume, "rows", x=X, y=np.repeat([0, 1], [40, 10]))
    validation = loaded(volume, stratify=True).validation
    assert validation.take(slice(None))[1].sum() == 2


def test_the_uploads_own_validation_part_is_kept(volume: Volume) -> None:
    put_arrays(volume, "rows", x=X, y=CLASSES, x_validation=X[:5] + 9, y_validation=CLASSES[:5])
    data = loaded(volume)
    assert (len(data.train), len(data.validation)) == (50, 5)
    np.testing.assert_allclose(data.validation.take(slice(None))[0], X[:5] + 9, rtol=1e-6)


def test_sample_weights_are_kept_and_multiplied_with_balanced_classes(volume: Volume) -> None:
    y = np.repeat([0, 1], [40, 10])
    weights = CHANCE.uniform(0.5, 2, 50)
    put_arrays(volume, "rows", x=X, y=y, sample_weight=weights)
    own = loaded(volume).train
    assert own.selected is not None
    np.testing.assert_allclose(own.take(slice(None))[2], weights[own.selected], rtol=1e-6)
    balanced = loaded(volume, {"class_weight": "balanced"}, stratify=True)
    assert balanced.train.selected is not None
    rows = balanced.train.selected
    factors = np.where(y[rows] == 1, 40 / (2 * 8), 40 / (2 * 32))
    np.testing.assert_allclose(balanced.train.take(slice(None))[2], weights[rows] * factors, rtol=1e-5)
    assert balanced.validation.weights is not None
    np.testing.assert_allclose(
        balanced.validation.take(slice(None))[2], weights[balanced.validation.selected], rtol=1e-6
    )


def test_one_hot_targets_are_kept_and_class_numbers_are_spread(volume: Volume) -> None:
    loss = {"loss": "categorical_crossentropy", "class_weight": "balanced"}
    put_arrays(volume, "rows", x=X, y=np.eye(3, dtype=np.uint8)[CLASSES])
    already = loaded(volume, loss).train.take(slice(None))
    put_arrays(volume, "numbers", x=X, y=CLASSES)
    spread = loaded(volume, loss, id="numbers").train.take(slice(None))
    for one, other in zip(already, spread, strict=True):
        assert one.dtype == other.dtype == np.float32
        assert np.array_equal(one, other)


def test_several_targets_of_a_regression_keep_their_columns(volume: Volume) -> None:
    put_arrays(volume, "rows", x=X, y=X[:, :2])
    data = loaded(volume)
    assert data.train.targets.shape == (50, 2)
    assert data.train.targets.dtype == np.float32


def test_arrays_that_changed_or_are_gone_are_named(volume: Volume) -> None:
    put_arrays(volume, "rows", x=X, y=CLASSES)
    file = volume.datasets / "rows" / "arrays" / "x.npy"
    np.save(file, X + 1)
    with pytest.raises(DataChanged):
        loaded(volume)
    file.unlink()
    with pytest.raises(DataMissing):
        loaded(volume)


def test_rows_are_taken_without_copying_the_array(tmp_path: Path) -> None:
    """A sparse file of 8 GB, of which reading rows may copy less than 2 MB into memory."""
    path = tmp_path / "x.npy"
    np.lib.format.open_memmap(path, "w+", np.float16, (1_000_000, 4096)).flush()
    x = np.load(path, mmap_mode="r")
    part = Part({"x": x}, np.zeros((1_000_000, 1), np.float32), selected=np.arange(999_999, -1, -2))
    tracemalloc.start()
    part.take(np.arange(0, 500_000, 50_000))
    part.take(slice(10, 20))
    assert (part.nbytes, len(part)) == (500_000 * 4 * 4097, 500_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_prediction_reads_what_the_training_was_given(tmp_path: Path) -> None:
    shapes: dict[str, tuple[int, ...]] = {"a": (3,), "b": ()}
    (tmp_path / "schema.json").write_bytes(prepare_arrays.describe(shapes))
    preparation = prepare_arrays.load(tmp_path)
    np.savez(tmp_path / "rows.npz", a=X, b=CLASSES, unknown=X)
    rows = preparation.read(tmp_path / "rows.npz")
    assert len(rows) == 50
    first = preparation.transform(rows[:2])
    assert {name: (one.dtype.str, one.shape) for name, one in first.items()} == {
        "a": ("<f4", (2, 3)),
        "b": ("<i8", (2,)),
    }
    assert preparation.is_complete(rows).all()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": X}, r"holds no b; it holds a"),
        ({"a": X[:, :2], "b": CLASSES}, r"a has rows of shape \(2,\), expected \(3,\)"),
        ({"a": X, "b": CLASSES[:9]}, "different numbers of rows"),
    ],
)
def test_a_prediction_refuses_other_arrays(tmp_path: Path, arrays: Any, words: str) -> None:
    preparation = prepare_arrays.Preparation({"a": (3,), "b": ()})
    np.savez(tmp_path / "rows.npz", **arrays)
    with pytest.raises(ValueError, match=words):
        preparation.read(tmp_path / "rows.npz")


def test_one_array_is_taken_where_there_is_one_input(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", X)
    assert len(prepare_arrays.Preparation({"x": (3,)}).read(tmp_path / "rows.npy")) == 50
    with pytest.raises(ValueError, match=r"is one array, expected an \.npz file with x, z"):
        prepare_arrays.Preparation({"x": (3,), "z": (1,)}).read(tmp_path / "rows.npy")


def test_a_profile_names_its_file() -> None:
    names = [
        ArrayProfile(name="x", role="input", part=part, shape=(1,), dtype="f4").file_name
        for part in ("training", "validation")
    ]  # type: ignore[arg-type]
    assert names == ["x.npy", "x_validation.npy"]
