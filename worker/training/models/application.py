"""Builds a network of `keras.applications` with a new output layer."""

from typing import Any

import keras

from shared.spec import ApplicationSpec
from worker.training.data.rows import Data

# How to scale pixels of 0 to 255 for each network. Networks that are not named here scale their input themselves.
_TO_ONE: dict[str, Any] = {"scale": 1 / 127.5, "offset": -1.0}
_SCALED_TO_ONE = {"MobileNetV2", "Xception"}
# Means and variances of ImageNet's colours: torch's for DenseNet, and for ResNet those of Caffe, as blue, green, red.
_IMAGENET_MEAN = [0.485 * 255, 0.456 * 255, 0.406 * 255]
_IMAGENET_VARIANCE = [(0.229 * 255) ** 2, (0.224 * 255) ** 2, (0.225 * 255) ** 2]
_CAFFE_MEAN = [103.939, 116.779, 123.68]


def build_application(spec: ApplicationSpec, data: Data, output: keras.layers.Layer) -> keras.Model:
    """The network without its own head, global average pooling, dropout, and the output layer."""
    (shape,) = data.shapes.values()
    network = getattr(keras.applications, spec.name)(include_top=False, weights=None, input_shape=shape)
    _freeze(network, spec)
    inputs = keras.Input(shape, name="image")
    x = network(_scaled(spec.name, inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    if spec.dropout:
        x = keras.layers.Dropout(spec.dropout)(x)
    return keras.Model(inputs, output(x), name=spec.name.lower())


def _freeze(network: keras.Model, spec: ApplicationSpec) -> None:
    """Freeze the layers that are not trained, with the moving averages of their batch normalization."""
    if spec.trainable == "head":
        network.trainable = False
    elif spec.trainable != "all":
        for layer in network.layers[: -spec.trainable]:
            layer.trainable = False


def _scaled(name: str, inputs: Any) -> Any:
    """The pixels in the range that the network's published weights expect."""
    if name in _SCALED_TO_ONE:
        return keras.layers.Rescaling(**_TO_ONE)(inputs)
    if name == "DenseNet121":
        return keras.layers.Normalization(mean=_IMAGENET_MEAN, variance=_IMAGENET_VARIANCE)(inputs)
    if name.startswith("ResNet"):
        return keras.layers.Normalization(mean=_CAFFE_MEAN, variance=[1.0, 1.0, 1.0])(keras.ops.flip(inputs, axis=-1))
    return inputs
