"""Models from a configuration: every layer that can be sent is built; others are refused without using memory."""

import json
import resource
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from shared import keras_names
from shared.keras_config import check_config
from shared.spec import KerasSpec
from tests.support.keras_configs import HOSTILE, Config, a_dense, a_layer, a_model
from tests.support.kinds import two_inputs_config
from worker.training.data.rows import Data, Part
from worker.training.errors import BadData
from worker.training.models import keras_json
from worker.training.models.keras_json import build_keras

Row = tuple[int, ...]
FLAT, STEPS, IMAGE, VOLUME = (6,), (8, 4), (8, 8, 4), (4, 4, 4, 2)
ONE_ROW = Data(Part({"x": np.zeros((1, 4), np.float32)}, np.zeros((1, 1), np.float32)), Part({}, np.zeros((1, 1))))


def attention(make: Callable[[], Any]) -> Callable[[Any], Any]:
    return lambda x: make()([x, x])


def call_twice(x: Any) -> Any:
    layer = layers.Dense(6)
    return layer(layer(x))


# The shape of a row and the arguments of each layer that can be sent; default: `row_of(name)` and no arguments.
ARGUMENTS: dict[str, tuple[Row, dict[str, Any]]] = {
    "Activation": (FLAT, {"activation": "mish"}),
    "AveragePooling1D": (STEPS, {"pool_size": 2}),
    "AveragePooling2D": (IMAGE, {"pool_size": 2}),
    "AveragePooling3D": (VOLUME, {"pool_size": 2}),
    "CategoryEncoding": (FLAT, {"num_tokens": 4, "output_mode": "multi_hot"}),
    "CenterCrop": (IMAGE, {"height": 4, "width": 4}),
    "Conv1D": (STEPS, {"filters": 2, "kernel_size": 3}),
    "Conv1DTranspose": (STEPS, {"filters": 2, "kernel_size": 3}),
    "Conv2D": (IMAGE, {"filters": 2, "kernel_size": 3, "kernel_initializer": "he_normal"}),
    "Conv2DTranspose": (IMAGE, {"filters": 2, "kernel_size": 3}),
    "Conv3D": (VOLUME, {"filters": 2, "kernel_size": 2}),
    "Conv3DTranspose": (VOLUME, {"filters": 2, "kernel_size": 2}),
    "ConvLSTM1D": ((3, 8, 2), {"filters": 2, "kernel_size": 3}),
    "ConvLSTM2D": ((3, 8, 8, 2), {"filters": 2, "kernel_size": 3}),
    "Cropping1D": (STEPS, {}),
    "Dense": (FLAT, {"units": 3, "kernel_regularizer": "l2", "bias_constraint": "non_neg"}),
    "DepthwiseConv1D": (STEPS, {"kernel_size": 3}),
    "DepthwiseConv2D": (IMAGE, {"kernel_size": 3}),
    "Dropout": (FLAT, {"rate": 0.5, "noise_shape": (None, 6)}),
    "AlphaDropout": (FLAT, {"rate": 0.5}),
    "EinsumDense": (FLAT, {"equation": "ab,bc->ac", "output_shape": 3}),
    "Embedding": (FLAT, {"input_dim": 100, "output_dim": 3}),
    "GRU": (STEPS, {"units": 3}),
    "GaussianDropout": (FLAT, {"rate": 0.5}),
    "GaussianNoise": (FLAT, {"stddev": 0.1}),
    "GroupNormalization": (IMAGE, {"groups": 2}),
    "LSTM": (STEPS, {"units": 3, "return_sequences": True}),
    "LayerNormalization": (FLAT, {}),
    "Normalization": (FLAT, {"mean": 5e9, "variance": 2e12}),
    "Permute": (STEPS, {"dims": (2, 1)}),
    "RandomBrightness": (IMAGE, {"factor": 0.1}),
    "RandomContrast": (IMAGE, {"factor": 0.1}),
    "RandomCrop": (IMAGE, {"height": 4, "width": 4}),
    "RandomRotation": (IMAGE, {"factor": 0.1}),
    "RandomTranslation": (IMAGE, {"height_factor": 0.1, "width_factor": 0.1}),
    "RandomZoom": (IMAGE, {"height_factor": 0.1}),
    "RepeatVector": (FLAT, {"n": 2}),
    "Rescaling": (FLAT, {"scale": 1 / 255}),
    "Reshape": (FLAT, {"target_shape": (3, -1)}),
    "Resizing": (IMAGE, {"height": 4, "width": 4}),
    "SeparableConv1D": (STEPS, {"filters": 2, "kernel_size": 3}),
    "SeparableConv2D": (IMAGE, {"filters": 2, "kernel_size": 3}),
    "SimpleRNN": (STEPS, {"units": 3}),
    "SpatialDropout1D": (STEPS, {"rate": 0.5}),
    "SpatialDropout2D": (IMAGE, {"rate": 0.5}),
    "SpatialDropout3D": (VOLUME, {"rate": 0.5}),
}
MADE: dict[str, tuple[Row, Callable[[Any], Any]]] = {
    "AdditiveAttention": (STEPS, attention(layers.AdditiveAttention)),
    "Attention": (STEPS, attention(layers.Attention)),
    "Bidirectional": (STEPS, layers.Bidirectional(layers.GRU(2))),
    "Dot": (FLAT, lambda x: layers.Dot(axes=1)([x, x])),
    "GRUCell": (STEPS, layers.RNN(layers.GRUCell(2))),
    "GroupQueryAttention": (STEPS, lambda x: layers.GroupQueryAttention(4, 4, 2)(x, x)),
    "LSTMCell": (STEPS, layers.RNN([layers.LSTMCell(2), layers.LSTMCell(3)])),
    "MultiHeadAttention": (STEPS, lambda x: layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)),
    "RNN": (STEPS, layers.RNN(layers.SimpleRNNCell(2))),
    "SimpleRNNCell": (STEPS, layers.RNN(layers.SimpleRNNCell(2))),
    "SpectralNormalization": (FLAT, layers.SpectralNormalization(layers.Dense(3))),
    "StackedRNNCells": (STEPS, layers.RNN(layers.StackedRNNCells([layers.GRUCell(2)]))),
    "TimeDistributed": (STEPS, layers.TimeDistributed(layers.Dense(3))),
    "sums": (FLAT, lambda x: (layers.Dense(6)(x) + x) * x / 2.0 - 1.0),
    "another model": (FLAT, keras.Sequential([keras.Input(FLAT), layers.Dense(6)])),
    "a layer as activation": (FLAT, layers.Dense(6, activation=layers.LeakyReLU(0.2))),
    "a layer that is called twice": (FLAT, call_twice),
}
MERGING = {"Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"}


def row_of(name: str) -> Row:
    by_ending = {"1D": STEPS, "2D": IMAGE, "3D": VOLUME, "RandomFlip": IMAGE, "PReLU": FLAT}
    return next((row for ending, row in by_ending.items() if name.endswith(ending)), FLAT)


def model_with(name: str) -> keras.Model:
    if name in MADE:
        row, make = MADE[name]
    else:
        row, arguments = ARGUMENTS.get(name, (row_of(name), {}))
        make = (lambda x: getattr(layers, name)()([x, x])) if name in MERGING else getattr(layers, name)(**arguments)
    inputs = keras.Input(row)
    flat = layers.Flatten()(make(inputs))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(flat), name="sent")


def sent(model: keras.Model) -> Config:
    found: Config = json.loads(model.to_json())
    return found


def built(config: Config) -> keras.Model:
    return build_keras(KerasSpec(kind="keras", config=config), ONE_ROW)


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")
@pytest.mark.parametrize("name", sorted({*keras_names.LAYERS, *MADE} - {"InputLayer"}))
def test_a_model_with_any_layer_that_can_be_sent_is_built_as_it_was(name: str) -> None:
    model = model_with(name)
    config = sent(model)
    assert check_config(config) == []
    again = built(config)
    assert again.count_params() == model.count_params() > 0
    assert [one.shape for one in again.weights] == [one.shape for one in model.weights]
    assert sent(again)["config"] == config["config"]
    assert all(np.isfinite(np.asarray(one)).all() for one in again.weights)


def test_a_compiled_model_inside_a_model_is_built_without_its_optimizer() -> None:
    inner = keras.Sequential([keras.Input(FLAT), layers.Dense(6)])
    inner.compile(optimizer="adam", loss="mse")
    inputs = keras.Input(FLAT)
    assert built(sent(keras.Model(inputs, layers.Dense(1)(inner(inputs))))).count_params() == 49


@pytest.mark.parametrize("name", HOSTILE)
def test_keras_never_sees_a_hostile_configuration(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.models, "model_from_json", lambda _: pytest.fail("it was built"))
    with pytest.raises(BadData, match=r"^the model's configuration "):
        built(HOSTILE[name][0])


LARGE: dict[str, tuple[Config, str]] = {
    "two layers of the most units": (
        a_model(*(a_layer("Dense", units=units, name=str(units)) for units in (65_536, 65_535, 1))),
        "4295360511 parameters",
    ),
    "a vocabulary of the most words": (
        a_model(a_layer("Embedding", input_dim=10**6, output_dim=65_536), a_layer("GlobalAveragePooling1D")),
        "65536000000 parameters",
    ),
    "a recurrent layer": (a_model(a_layer("LSTM", units=65_536), shape=(None, 9, 4)), "parameters"),
    "repeated rows": (
        a_model(a_layer("RepeatVector", n=10**6), a_layer("UpSampling1D", size=1000), a_layer("Flatten")),
        '"upsampling1d" makes 4000000000 numbers of one row',
    ),
    "repeated rows in another model": (
        a_model(a_model(a_layer("RepeatVector", n=10**6), a_layer("UpSampling1D", size=1000), a_layer("Flatten"))),
        "makes 4000000000 numbers",
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_model_that_is_too_large_is_refused_without_making_it(name: str) -> None:
    config, words = LARGE[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadData, match=words):
        built(config)
    assert keras.Sequential([keras.Input((2,)), layers.Dense(2)]).count_params() == 6, "Keras builds others as before"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024, "in KiB"


WRONG: dict[str, tuple[Config, str]] = {
    "an unknown argument": (a_dense(unknown=1), "cannot be built"),
    "no units": (a_dense(units=0), "cannot be built"),
    "a kernel that is larger than its rows": (
        a_model(a_layer("Conv1D", filters=1, kernel_size=99), a_layer("Flatten"), shape=(None, 8, 1)),
        "cannot be built",
    ),
    "an initializer that is a regularizer": (
        a_dense(kernel_initializer={"module": "keras.regularizers", "class_name": "L2", "config": {}}),
        "cannot be built",
    ),
    "a wrapper of a text": (a_model(a_layer("TimeDistributed", layer="Dense"), shape=(None, 4, 2)), "cannot be built"),
    "two outputs": (a_dense(units=2), "the model's output has the shape"),
    "rows of outputs": (a_model(a_layer("Dense", units=1), shape=(None, 8, 1)), "the model's output has the shape"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_model_that_cannot_be_built_or_does_not_fit_is_refused_with_a_sentence(name: str) -> None:
    config, words = WRONG[name]
    with pytest.raises(BadData, match=words):
        built(config)


def test_the_names_are_those_that_keras_knows() -> None:
    from keras.src import activations, constraints, initializers, regularizers

    assert activations.ALL_OBJECTS_DICT.keys() == keras_names.ACTIVATIONS
    for ending, module in (("initializer", initializers), ("regularizer", regularizers), ("constraint", constraints)):
        assert keras_names.TEXTS[ending] <= module.ALL_OBJECTS_DICT.keys(), ending
    assert all(hasattr(layers, name) for name in keras_names.LAYERS)
    assert all(keras.DTypePolicy(name).name == name for name in keras_names.DTYPES)


def paths(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for name, one in pairs for found in paths(one, (*place, name)))]


odd = st.sampled_from([None, True, 0, -1, 3, 7_000, 0.5, 1e300, "relu", "", "keras", "float16", [], {}, [2, 2], ["x"]])


@pytest.mark.filterwarnings("ignore:When providing `inputs`:UserWarning")  # a name that Keras warns about
@settings(max_examples=25)
@given(data=st.data())
def test_a_changed_configuration_is_built_or_refused(data: Any) -> None:
    config = two_inputs_config()
    *way, last = data.draw(st.sampled_from(paths(config)[1:]))
    holder: Any = config
    for name in way:
        holder = holder[name]
    holder[last] = data.draw(odd)
    with suppress(BadData):
        built(config)


def test_the_scope_that_builds_without_memory_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_json, "MOST_PARAMETERS", 3)
    with pytest.raises(BadData, match="5 parameters, expected at most 3"):
        built(a_dense())
    monkeypatch.undo()
    assert built(a_dense()).predict(np.zeros((1, 4)), verbose=0).shape == (1, 1)
