"""Builds a user's Keras model from its JSON configuration."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.backend.common.stateless_scope import StatelessScope

from shared.keras_config import MOST_ROW_NUMBERS, check_config, without_extras
from shared.spec import MOST_PARAMETERS, KerasSpec
from worker.training.data.rows import Data
from worker.training.errors import BadData, first_line, is_out_of_memory


def build_keras(spec: KerasSpec, data: Data) -> keras.Model:
    """The model of the configuration, with new weights. Raises BadData if it cannot be built or does not fit the data.

    The configuration is checked again, as when the job was posted. The model is first built without memory for weights,
    to check its size.
    """
    model = build_config(spec.config)
    check_outputs(model, data)
    return model


def build_config(config: dict[str, Any]) -> keras.Model:
    """The model of a configuration, with new weights. Raises BadData if it cannot be built."""
    problems = check_config(config)
    if problems:
        raise BadData(f"the model's configuration {problems[0].detail}")
    text = json.dumps(without_extras(config))
    with _refusing():
        _check_size(text)
        return keras.models.model_from_json(text)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn the errors of Keras and TensorFlow while they build a model into BadData, except out-of-memory errors."""
    try:
        yield
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BadData(f"the model cannot be built from its configuration: {first_line(error)}") from error
    except (RuntimeError, tf.errors.OpError) as error:
        if is_out_of_memory(error):
            raise
        raise BadData(f"the model cannot be built from its configuration: {first_line(error)}") from error


def _check_size(text: str) -> None:
    """Build the model without memory for weights, and raise BadData if it is too large."""
    try:
        # By default the scope would create all variables at its end, even after an error.
        with StatelessScope(initialize_variables=False):
            model = keras.models.model_from_json(text)
            parameters = model.count_params()
    finally:
        global_state.set_global_attribute("uninitialized_variables", [])
    if parameters > MOST_PARAMETERS:
        raise BadData(f"the model has {parameters} parameters, expected at most {MOST_PARAMETERS}")
    for name, output in _all_outputs(model):
        numbers = prod(one or 1 for one in output.shape[1:])
        if numbers > MOST_ROW_NUMBERS:
            raise BadData(f'the layer "{name}" makes {numbers} numbers of one row, expected at most {MOST_ROW_NUMBERS}')


def _all_outputs(model: keras.Model) -> Iterator[tuple[str, keras.KerasTensor]]:
    """Yield the name and each output of every layer, also of layers in nested models."""
    for layer in model._flatten_layers():
        for operation in (layer, *getattr(layer, "operations", ())):
            for node in operation._inbound_nodes:
                yield from ((operation.name, output) for output in node.outputs)


def check_outputs(model: keras.Model, data: Data) -> None:
    """Raise BadData unless the model has one output for each class or column of the target."""
    if len(model.outputs) != 1:
        raise BadData(f"the model has {len(model.outputs)} outputs; models with one output can be trained")
    (output,) = model.outputs
    columns = data.train.targets.shape[1]
    expected = len(data.classes) if data.train.targets.dtype.kind == "i" and data.classes else columns
    if len(output.shape) != 2 or output.shape[1] != expected:
        what = "one for each class" if expected > 1 and columns == 1 else "one for each column of the target"
        raise BadData(f"the model's output has the shape {tuple(output.shape)}; expected {expected} outputs, {what}")
