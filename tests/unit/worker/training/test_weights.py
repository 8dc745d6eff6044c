"""Uploaded weights are read by their names, and nothing else in their file is read."""

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest

from shared.spec import ApplicationSpec, KerasSpec
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, rows_of, small_spec
from tests.support.weights import put_weights_file
from worker.training.errors import BadData, DataChanged, DataMissing
from worker.training.models.weights import load_weights
from worker.training.run import run
from worker.training.stop_requests import StopRequests


def network(units: int = 4, last: int = 1) -> keras.Model:
    """Return a model with a layer that has statistics, one without weights, one inside another, and one used twice."""
    inputs = keras.Input((3,), name="rows")
    inner = keras.Sequential([keras.Input((units,)), keras.layers.Dense(units, activation="relu")], name="inner")
    x = keras.layers.Dense(units)(inputs)
    x = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(x))
    return keras.Model(inputs, keras.layers.Dense(last, activation="sigmoid")(inner(inner(x))))


def saved(path: Path, model: keras.Model) -> Path:
    model.save_weights(path)
    return path


@pytest.fixture
def given(volume: Volume, tmp_path: Path):
    """Load a file into a model, as a run does."""

    def load(file: Path, model: keras.Model, spec: object = None, sha256: str | None = None) -> None:
        info = put_weights_file(volume, file)
        spec = spec or KerasSpec(kind="keras", config={}, weights="first")
        record = SimpleNamespace(data_spec=SimpleNamespace(model=spec), weights_sha256=sha256 or info.data_sha256)
        attempt = SimpleNamespace(job=SimpleNamespace(volume_root=volume.root))
        load_weights(model, record, attempt)  # type: ignore[arg-type]

    return load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    keras.utils.set_random_seed(1)
    return saved(tmp_path / "a.weights.h5", network())


def values(model: keras.Model) -> list[np.ndarray]:
    return [variable.numpy() for variable in model.variables if "seed" not in variable.path]


def test_every_variable_has_the_value_of_the_file(given, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    mine, other = network(), network()
    for variable in mine.variables:
        if "moving" in variable.path:
            variable.assign(np.full(variable.shape, 7, np.float32))
    assert any((a != b).any() for a, b in zip(values(mine), values(other), strict=True))
    given(saved(tmp_path / "a.weights.h5", mine), other)
    for a, b in zip(values(mine), values(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_weights_of_a_keras_file_that_was_trained_are_taken_without_its_optimizer(given, tmp_path: Path) -> None:
    mine = network()
    mine.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    mine.fit(np.ones((8, 3)), np.ones(8), verbose=0)
    mine.save(tmp_path / "whole.keras")
    with zipfile.ZipFile(tmp_path / "whole.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
    other = network()
    given(tmp_path / "model.weights.h5", other)
    for a, b in zip(values(mine), values(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            lambda: network(units=5),
            r"dense_?\d*/kernel as float32 of shape \(3, 4\), expected float32 of shape \(3, 5\)",
        ),
        (
            lambda: network(last=2),
            r"dense_?\d*/kernel as float32 of shape \(4, 1\), expected float32 of shape \(4, 2\)",
        ),
        (
            lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.PReLU()]),
            "hold no .*p_re_lu.*alpha",
        ),
        (
            lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)]),
            "hold layers/.*, for which the model has no variable",
        ),
    ],
    ids=["other width", "other outputs", "a layer more", "layers less"],
)
def test_the_first_variable_that_differs_is_named_and_nothing_is_assigned(given, file, model, says) -> None:
    built = model()
    before = values(built)
    with pytest.raises(BadData, match=says):
        given(file, built)
    for a, b in zip(before, values(built), strict=True):
        np.testing.assert_array_equal(a, b)


def change(file: Path, how) -> Path:
    with h5py.File(file, "a") as opened:
        how(opened["layers/dense/vars"], opened)
    return file


def with_external_link(variables, root) -> None:
    del variables["0"]
    variables["0"] = h5py.ExternalLink("/etc/hostname", "/")


def with_soft_link(variables, root) -> None:
    del variables["0"]
    variables["0"] = h5py.SoftLink("/layers/dense_1/vars/0")


def with_external_data(variables, root) -> None:
    del variables["0"]
    variables.create_dataset("0", (3, 4), "f4", external=[("/etc/passwd", 0, 48)])


def with_virtual_data(variables, root) -> None:
    del variables["0"]
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 4))
    variables.create_virtual_dataset("0", layout)


def with_many_numbers(variables, root) -> None:
    del variables["0"]
    variables.create_dataset("0", (2**20, 2**20), "f4", chunks=(1024, 1024), compression="gzip")


def with_texts(variables, root) -> None:
    del variables["0"]
    variables.create_dataset("0", data=[["a" * 3] * 4] * 3)


def with_doubles(variables, root) -> None:
    del variables["0"]
    variables["0"] = np.zeros((3, 4))


@pytest.mark.parametrize(
    "how",
    [
        with_external_link, with_soft_link, with_external_data, with_virtual_data, with_many_numbers, with_texts,
        with_doubles,
    ],
)  # fmt: skip
def test_a_hostile_file_is_refused_by_a_sentence(given, file, how) -> None:
    with pytest.raises(BadData, match=r"expected|another model"):
        given(change(file, how), network())


def test_a_file_that_is_no_hdf5_is_refused(given, tmp_path: Path) -> None:
    (tmp_path / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    with pytest.raises(BadData, match="cannot be read as HDF5"):
        given(tmp_path / "bad.h5", network())


def test_a_link_in_the_place_of_the_weights_is_not_followed(given, volume: Volume, file: Path) -> None:
    given(file, network())
    kept = volume.weights.place("first") / "weights.h5"
    kept.unlink()
    kept.symlink_to(file)
    spec = SimpleNamespace(model=KerasSpec(kind="keras", config={}, weights="first"))
    attempt = SimpleNamespace(job=SimpleNamespace(volume_root=volume.root))
    with pytest.raises(BadData, match="not a regular file"):
        load_weights(network(), SimpleNamespace(data_spec=spec, weights_sha256="0" * 64), attempt)  # type: ignore[arg-type]


def test_weights_that_have_changed_or_are_gone_are_told_apart(given, volume: Volume, file: Path) -> None:
    with pytest.raises(DataChanged, match="have changed since the job was posted"):
        given(file, network(), sha256="0" * 64)
    volume.remove_weights("first")
    (volume.weights.make_folder() / "first").mkdir()
    record = SimpleNamespace(data_spec=SimpleNamespace(model=KerasSpec(kind="keras", config={}, weights="first")))
    with pytest.raises(DataMissing, match='the weights "first" are not on the volume'):
        load_weights(network(), record, SimpleNamespace(job=SimpleNamespace(volume_root=volume.root)))  # type: ignore[arg-type]


def test_a_network_of_keras_applications_takes_its_own_weights_and_leaves_out_their_head(given, tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    shape = (32, 32, 3)
    pretrained = keras.applications.MobileNetV3Small(include_top=True, weights=None, input_shape=shape, classes=7)
    body = keras.applications.MobileNetV3Small(include_top=False, weights=None, input_shape=shape)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(body(inputs))))
    spec = ApplicationSpec(kind="application", name="MobileNetV3Small", weights="first")
    given(saved(tmp_path / "p.weights.h5", pretrained), model, spec)
    # Everything of the pretrained network except its head, in the same order.
    for a, b in zip(body.variables, pretrained.variables, strict=False):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_run_starts_from_the_weights(volume: Volume, tmp_path: Path) -> None:
    put_dataset(volume, learnable_frame())
    keras.utils.set_random_seed(9)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    model.variables[1].assign([20.0])
    put_weights_file(volume, saved(tmp_path / "m.weights.h5", model))
    spec = small_spec(hyperparameters={"epochs": 1, "optimizer": "sgd", "learning_rate": 1e-12})
    spec["model"] = {"kind": "keras", "config": json.loads(model.to_json()), "weights": "first"}
    job = put_job(volume, spec)
    attempt = claim(job)
    conclusion = run(attempt, StopRequests(attempt, 60))
    assert conclusion.ending is not None
    assert conclusion.ending.status == "succeeded", conclusion.ending.error
    # The bias makes every prediction positive.
    assert rows_of(attempt.training_log)["val_recall"].tolist() == [1.0]
