"""Networks of `keras.applications` as Keras models from their own JSON: small variants of all that are offered."""

import json
from collections.abc import Callable
from typing import Any, get_args

import keras
import numpy as np
import pytest
from keras import layers
from keras.src.applications import convnext, densenet, efficientnet_v2, resnet

from shared.keras_config import check_config
from shared.spec import ApplicationName, KerasSpec
from worker.training.data.rows import Data, Part
from worker.training.errors import BadData
from worker.training.models.application import _scaled
from worker.training.models.keras_json import build_keras

SIDE = 32
COMMON: dict[str, Any] = {"weights": None, "classes": 2, "input_shape": (SIDE, SIDE, 3)}


def mobile(name: str) -> keras.Model:
    return getattr(keras.applications, name)(alpha=0.35 if name == "MobileNetV2" else 0.75, **COMMON)


def efficient(name: str) -> keras.Model:
    """Return a network with one block of each kind: fused and not, with and without expansion."""
    blocks = efficientnet_v2.DEFAULT_BLOCKS_ARGS["efficientnetv2-b0"]
    few = [{**one, "num_repeat": 2 if number == 1 else 1} for number, one in enumerate(blocks)]
    width = {"EfficientNetV2B0": 0.2, "EfficientNetV2B1": 0.25, "EfficientNetV2B2": 0.3, "EfficientNetV2B3": 0.35}
    return efficientnet_v2.EfficientNetV2(width[name], 0.3, SIDE, blocks_args=few, name=name.lower(), **COMMON)


def residual(name: str) -> keras.Model:
    blocks = 1 if name == "ResNet50" else 2

    def stack(x: Any) -> Any:
        return resnet.stack_residual_blocks_v1(x, 8, blocks, stride1=1, name="conv2")

    return resnet.ResNet(stack, preact=False, use_bias=True, name=name.lower(), **COMMON)


def convolutional(name: str) -> keras.Model:
    depths = [1, 1, 1, 1] if name == "ConvNeXtTiny" else [1, 1, 2, 1]
    return convnext.ConvNeXt(depths, [8, 8, 16, 16], drop_path_rate=0.1, name=name.lower(), **COMMON)


MAKERS: dict[str, Callable[[str], keras.Model]] = {
    "MobileNet": mobile, "EfficientNet": efficient, "ResNet": residual, "ConvNeXt": convolutional,
    "DenseNet": lambda name: densenet.DenseNet([1, 1, 1, 1], name=name.lower(), **COMMON),
    "Xception": lambda _: keras.applications.Xception(**{**COMMON, "input_shape": (71, 71, 3)}),
}  # fmt: skip


def small(name: str) -> keras.Model:
    """Return a small network of the kind: the same layers, but few of them or with few filters."""
    return next(make for start, make in MAKERS.items() if name.startswith(start))(name)


def built(config: dict[str, Any], shape: tuple[int, ...]) -> keras.Model:
    part = Part({"image": np.zeros((2, *shape), np.uint8)}, np.zeros((2, 1), np.int32))
    return build_keras(KerasSpec(kind="keras", config=config), Data(part, part, ("cat", "dog")))


@pytest.mark.parametrize("name", get_args(ApplicationName))
def test_every_network_is_built_from_its_own_json_as_it_was(name: str) -> None:
    model = small(name)
    config, shape = json.loads(model.to_json()), model.input_shape[1:]
    assert check_config(config) == []
    again = built(config, shape)
    assert [one.shape for one in again.weights] == [one.shape for one in model.weights]
    assert json.loads(again.to_json())["config"] == config["config"]


def test_a_network_with_stochastic_depth_and_layer_scale_holds_them_again() -> None:
    model = convolutional("ConvNeXtTiny")
    again = built(json.loads(model.to_json()), (SIDE, SIDE, 3))
    assert {"LayerScale", "StochasticDepth"} <= {type(one).__name__ for one in again.layers}


@pytest.mark.parametrize("name", ["ResNet50", "DenseNet121", "MobileNetV2"])
def test_the_scaling_before_a_network_is_let_through(name: str) -> None:
    inputs = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(_scaled(name, inputs))))
    config = json.loads(model.to_json())
    assert check_config(config) == []
    pixels = np.random.default_rng(1).uniform(0, 255, (1, SIDE, SIDE, 3)).astype(np.float32)
    again = built(config, (SIDE, SIDE, 3))
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(pixels), model(pixels))


@keras.saving.register_keras_serializable("mine")
class Doubled(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * 2


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Doubled(name="twice"), r'Doubled \(the layer "twice"\), which is not one of the layers of Keras'),
        (layers.Lambda(lambda x: x, name="odd"), r'keras\.layers\.Lambda \(the layer "odd"\)'),
        (layers.Discretization(bin_boundaries=[1.0], name="bins"), r'Discretization \(the layer "bins"\)'),
    ],
    ids=["of one's own", "a function", "another one of Keras"],
)
def test_anything_else_in_a_network_is_refused_with_the_layers_name(layer: Any, words: str) -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(4)(layer(inputs))))
    with pytest.raises(BadData, match=words):
        built(json.loads(model.to_json()), (4,))
