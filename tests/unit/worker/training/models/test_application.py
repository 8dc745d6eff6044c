"""Networks of `keras.applications`: their input scaling, and which layers are trained."""

import importlib
from typing import Any, get_args

import keras
import numpy as np
import pytest

from shared.spec import ApplicationName, ApplicationSpec
from worker.training.data.rows import Data, Part
from worker.training.models.application import _scaled, build_application

MODULES = {
    "MobileNetV2": "mobilenet_v2", "MobileNetV3": "mobilenet_v3", "EfficientNetV2": "efficientnet_v2",
    "ResNet": "resnet", "ConvNeXt": "convnext", "DenseNet": "densenet", "Xception": "xception",
}  # fmt: skip


@pytest.mark.parametrize("name", get_args(ApplicationName))
def test_pixels_are_scaled_as_the_published_weights_of_the_network_expect(name: str, tmp_path: Any) -> None:
    module = next(module for prefix, module in MODULES.items() if name.startswith(prefix))
    theirs = importlib.import_module(f"keras.applications.{module}").preprocess_input
    pixels = np.random.default_rng(1).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    inputs = keras.Input((8, 8, 3))
    # One more layer, because a model needs more than its input.
    model = keras.Model(inputs, keras.layers.Identity()(_scaled(name, inputs)))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(pixels, verbose=0), theirs(pixels.copy()), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("trainable", "least", "most"), [("all", 3, 500), ("head", 2, 2), (3, 3, 8)])
def test_the_layers_that_are_not_to_be_trained_are_frozen(trainable: Any, least: int, most: int) -> None:
    images = np.zeros((2, 32, 32, 3), np.uint8)
    part = Part({"image": images}, np.zeros((2, 1), np.float32))
    spec = ApplicationSpec(kind="application", name="MobileNetV2", trainable=trainable)
    model = build_application(spec, Data(part, part), keras.layers.Dense(1))
    assert least <= len(model.trainable_variables) <= most
