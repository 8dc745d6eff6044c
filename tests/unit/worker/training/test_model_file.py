"""A model's file from a snapshot is the file that Keras itself would have written at that moment."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from worker.training.model_file import Form, ModelFile, StockModelFile, UnknownLayout


@pytest.fixture(autouse=True)
def own_policy() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


def a_model(optimizer: str = "adam", precision: str = "float32") -> keras.Model:
    keras.utils.set_random_seed(3)
    keras.config.set_dtype_policy(precision)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, activation="relu"),
                              keras.layers.BatchNormalization(), keras.layers.Dropout(0.3),
                              keras.layers.Dense(1, dtype="float32")])  # fmt: skip
    model.compile(optimizer, loss="mean_squared_error", metrics=[keras.metrics.MeanAbsoluteError(name="mae")])
    model.optimizer.build(model.trainable_variables)
    return model


def train(model: keras.Model) -> None:
    rows = np.random.default_rng(5).random((64, 4), dtype="f4")
    model.fit(rows, rows.sum(1), epochs=2, verbose=0)


def tree(file: h5py.File) -> dict[str, Any]:
    """Return everything in an HDF5 file."""
    found: dict[str, Any] = {"/": {name: str(value) for name, value in file.attrs.items()}}

    def add(path: str, item: h5py.Group | h5py.Dataset) -> None:
        values = (str(item.dtype), item[()].tobytes()) if isinstance(item, h5py.Dataset) else None
        found[path] = (values, {name: str(value) for name, value in item.attrs.items()})

    file.visititems(add)
    return found


def parts(content: bytes, form: str) -> tuple[dict[str, Any], Any]:
    if form == "h5":
        with h5py.File(io.BytesIO(content)) as file:
            return tree(file), None
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
        return tree(weights), (sorted(archive.namelist()), json.loads(archive.read("config.json")))


@pytest.mark.parametrize("form", ["keras", "h5"])
@pytest.mark.parametrize(
    ("optimizer", "precision"),
    [
        ("adam", "float32"),
        ("adamw", "float32"),
        ("sgd", "float32"),
        ("nadam", "mixed_bfloat16"),
        ("adam", "mixed_float16"),
    ],
)
def test_it_holds_what_keras_would_have_written(tmp_path: Path, form: Form, optimizer: str, precision: str) -> None:
    model = a_model(optimizer, precision)
    before = [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]
    file = ModelFile(model, form)
    after = [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    train(model)
    model.optimizer.learning_rate = 0.00025
    content = file.snapshot()()
    model.save(tmp_path / f"kerass.{form}")
    assert parts(content, form) == parts((tmp_path / f"kerass.{form}").read_bytes(), form)
    (tmp_path / f"ours.{form}").write_bytes(content)
    loaded = keras.models.load_model(tmp_path / f"ours.{form}")
    rows = np.random.default_rng(6).random((8, 4), dtype="f4")
    np.testing.assert_array_equal(loaded.predict(rows, verbose=0), model.predict(rows, verbose=0))


@pytest.mark.parametrize("form", ["keras", "h5"])
@pytest.mark.parametrize("most_bytes", [0, 8 * 1024**2])
def test_each_file_after_the_first_is_laid_out_the_same(
    tmp_path: Path, form: Form, most_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A small file reuses the previous one until the learning rate changes; a large one is laid out again.
    monkeypatch.setattr("worker.training.model_file._MOST_TEMPLATE_BYTES", most_bytes)
    model = a_model()
    file = ModelFile(model, form)
    for learning_rate in (0.001, 0.001, 0.00025):
        train(model)
        model.optimizer.learning_rate = learning_rate
        content = file.snapshot()()
        model.save(tmp_path / f"kerass.{form}")
        assert parts(content, form) == parts((tmp_path / f"kerass.{form}").read_bytes(), form)


@pytest.mark.parametrize("kind", [ModelFile, StockModelFile])
def test_a_snapshot_is_of_its_moment_however_the_model_goes_on(tmp_path: Path, kind: Any) -> None:
    model = a_model()
    file = kind(model, "keras")
    train(model)
    rows = np.random.default_rng(6).random((8, 4), dtype="f4")
    then = model.predict(rows, verbose=0)
    content = file.snapshot()
    train(model)
    (tmp_path / "then.keras").write_bytes(content())
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "then.keras").predict(rows, verbose=0), then)
    assert not np.array_equal(model.predict(rows, verbose=0), then)


def test_a_file_in_which_a_variable_is_not_found_is_not_written_by_us(monkeypatch: pytest.MonkeyPatch) -> None:
    model = a_model()
    monkeypatch.setattr("worker.training.model_file._save", lambda *_: empty())
    with pytest.raises(UnknownLayout):
        ModelFile(model, "h5")


def empty() -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w"):
        pass
    return content.getvalue()
