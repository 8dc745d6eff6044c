"""Builds a dense network."""

import keras

from shared.spec import DenseSpec
from worker.training.data.rows import Data


def build_dense(spec: DenseSpec, data: Data) -> keras.Sequential:
    """The layers of the spec with their batch normalization and dropout, without the output layer."""
    model = keras.Sequential([keras.Input((data.features,))], name="dense")
    for units in spec.layers:
        model.add(keras.layers.Dense(units, activation=spec.activation))
        if spec.batch_normalization:
            model.add(keras.layers.BatchNormalization())
        if spec.dropout:
            model.add(keras.layers.Dropout(spec.dropout))
    return model
