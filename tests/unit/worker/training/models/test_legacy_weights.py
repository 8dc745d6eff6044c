"""Files of weights in the layout of Keras 1 and 2: read by the names of the layers, and refused if they differ."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from shared.spec import ApplicationSpec, KerasSpec
from shared.volume import Volume
from tests.support.weights import put_weights_file
from worker.training.errors import BadData
from worker.training.models.weights import load_weights

KERAS = KerasSpec(kind="keras", config={}, weights="first")
SIDE = (32, 32, 3)


def small(names: tuple[str, str, str, str] = ("first", "norm", "inner", "out"), units: int = 4) -> keras.Model:
    """Return a model with statistics, an inner model, and layers without weights."""
    first, norm, inner_name, out = names
    inner = keras.Sequential([keras.Input((units,)), keras.layers.Dense(3, name=f"{inner_name}_a")], name=inner_name)
    inner.add(keras.layers.BatchNormalization(name=f"{inner_name}_b"))
    inputs = keras.Input((5,), name="rows")
    x = keras.layers.BatchNormalization(name=norm)(keras.layers.Dense(units, name=first)(inputs))
    return keras.Model(inputs, keras.layers.Dense(1, name=out)(inner(keras.layers.ReLU()(x))))


def filled(model: keras.Model, seed: int = 1) -> keras.Model:
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(generator.normal(size=variable.shape).astype(np.float32))
    return model


def written_by_keras_2(path: Path, model: keras.Model, *, is_whole: bool = False, pieces: bool = False) -> Path:
    """Write the file as Keras 2 did, with its names of arrays; if `is_whole`, of a whole model with its optimizer."""
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights") if is_whole else file
        names = [layer.name for layer in model.layers]
        halves = {"layer_names0": names[:3], "layer_names1": names[3:]} if pieces else {"layer_names": names}
        for name, half in halves.items():
            group.attrs[name] = [one.encode() for one in half]
        for layer in model.layers:
            own = group.create_group(layer.name)
            found = [*layer.trainable_weights, *layer.non_trainable_weights]
            texts = [f"{'/'.join(one.path.split('/')[-2:])}:0" for one in found]
            own.attrs["weight_names"] = [one.encode() for one in texts] if texts else np.empty(0, "S1")
            for text, one in zip(texts, found, strict=True):
                own[text] = one.numpy()
        if is_whole:
            file["optimizer_weights/Adam/m:0"] = np.zeros(3, np.float32)
    return path


@pytest.fixture
def given(volume: Volume) -> Any:
    """Load a file into a model, as a run does."""

    def load(file: Path, model: keras.Model, spec: Any = KERAS) -> None:
        volume.remove_weights("first")
        info = put_weights_file(volume, file)
        record = SimpleNamespace(data_spec=SimpleNamespace(model=spec), weights_sha256=info.data_sha256)
        record.spec = record.data_spec
        load_weights(model, record, SimpleNamespace(job=SimpleNamespace(volume_root=volume.root)))  # type: ignore[arg-type]

    return load


def assert_same(ours: keras.Model, theirs: keras.Model) -> None:
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)


@pytest.mark.parametrize("form", [{}, {"is_whole": True}, {"pieces": True}])
def test_layers_are_found_by_their_names(given: Any, tmp_path: Path, form: dict[str, bool]) -> None:
    source, model = filled(small()), small()
    given(written_by_keras_2(tmp_path / "old.h5", source, **form), model)
    assert_same(model, source)


def test_layers_that_keras_numbers_are_found_in_their_order(given: Any, tmp_path: Path) -> None:
    source, model = filled(small(("dense_7", "batch_normalization_9", "sequential_3", "dense_12"))), small()
    given(written_by_keras_2(tmp_path / "old.h5", source), model)
    assert_same(model, source)


def test_frozen_layers_take_their_arrays_in_the_same_order(given: Any, tmp_path: Path) -> None:
    source, model = filled(small()), small()
    file = written_by_keras_2(tmp_path / "old.h5", source)
    model.trainable = False
    given(file, model)
    assert_same(model, source)


def test_what_keras_itself_writes_in_the_old_layout_is_read(given: Any, tmp_path: Path) -> None:
    source, model = filled(small()), small()
    with h5py.File(tmp_path / "old.h5", "w") as file:
        save_weights_to_hdf5_group(file, source)
    given(tmp_path / "old.h5", model)
    assert_same(model, source)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: small(units=3), r"first/kernel as float32 of shape \(5, 4\), expected float32 of shape \(5, 3\)"),
        (lambda: keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, name="first")]), "no variable"),
        (
            lambda: keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, use_bias=False, name="first")]),
            "2 arrays for",
        ),
        (lambda: keras.Model(*chain(7)), "hold no layer more_0; they belong to another model"),
    ],
    ids=["another width", "layers less", "arrays less", "layers more"],
)
def test_a_file_of_another_model_is_refused_and_nothing_is_assigned(
    given: Any, tmp_path: Path, model: Any, words: str
) -> None:
    file, built = written_by_keras_2(tmp_path / "old.h5", filled(small())), model()
    before = [one.numpy() for one in built.weights]
    with pytest.raises(BadData, match=words):
        given(file, built)
    for one, other in zip(before, built.weights, strict=True):
        np.testing.assert_array_equal(one, other.numpy())


def chain(count: int) -> tuple[Any, Any]:
    inputs = x = keras.Input((5,))
    for number in range(count):
        x = keras.layers.Dense(4, name=f"more_{number}")(x)
    return inputs, x


def test_a_link_is_refused_before_it_is_followed(given: Any, tmp_path: Path) -> None:
    other = written_by_keras_2(tmp_path / "other.h5", filled(small()))
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["model_weights"] = h5py.ExternalLink(str(other), "/")
    with pytest.raises(BadData, match="a link"):
        given(tmp_path / "old.h5", small())


def test_an_attribute_of_megabytes_is_refused(given: Any, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "old.h5", "w", libver="latest") as file:
        file.attrs.create("layer_names", np.zeros(3 * 1024**2, "S1"))
    with pytest.raises(BadData, match="too long"):
        given(tmp_path / "old.h5", small())


# Xception's residual convolutions have names that Keras numbers; ConvNeXt has models inside the model.
@pytest.mark.parametrize(
    ("name", "side", "with_head"), [("MobileNetV2", 32, True), ("Xception", 71, False), ("ConvNeXtTiny", 32, True)]
)
def test_a_network_of_keras_applications_takes_a_published_file(
    given: Any, tmp_path: Path, name: str, side: int, with_head: bool
) -> None:
    make = getattr(keras.applications, name)
    shape = (side, side, 3)
    head = {"include_top": True, "classes": 3} if with_head else {"include_top": False}
    source = filled(make(weights=None, input_shape=shape, **head))
    body = make(weights=None, input_shape=shape, include_top=False)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(body(inputs))))
    spec = ApplicationSpec(kind="application", name=name, weights="first")  # type: ignore[arg-type]
    given(written_by_keras_2(tmp_path / "old.h5", source), model, spec)
    for one, other in zip(body.weights, source.weights, strict=False):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)
