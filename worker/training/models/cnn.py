"""Builds a convolutional network."""

import keras

from shared.spec import CnnSpec
from worker.training.data.rows import Data

_POOLING = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}
_BRIGHTEST = 255.0
# With Keras's default of 0.99 the moving averages, and so the validation, are useless for hundreds of steps.
_MOMENTUM = 0.9


def build_cnn(spec: CnnSpec, data: Data, output: keras.layers.Layer) -> keras.Model:
    """Blocks of convolution, normalization, activation and pooling; global average pooling; dense layers; the output.

    Pixels of 0 to 255 are scaled to 0 to 1 inside the model, so that it takes images as they are.
    """
    (shape,) = data.shapes.values()
    model = keras.Sequential([keras.Input(shape)], name="cnn")
    if data.train.x.dtype.kind == "u":
        model.add(keras.layers.Rescaling(1 / _BRIGHTEST))
    for filters in spec.filters:
        has_bias = not spec.batch_normalization
        model.add(keras.layers.Conv2D(filters, spec.kernel_size, padding="same", use_bias=has_bias))
        if spec.batch_normalization:
            model.add(keras.layers.BatchNormalization(momentum=_MOMENTUM))
        model.add(keras.layers.Activation(spec.activation))
        model.add(_POOLING[spec.pooling](2))
    model.add(keras.layers.GlobalAveragePooling2D())
    for units in spec.dense:
        model.add(keras.layers.Dense(units, activation=spec.activation))
        if spec.dropout:
            model.add(keras.layers.Dropout(spec.dropout))
    model.add(output)
    return model
