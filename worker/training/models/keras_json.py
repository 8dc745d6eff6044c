"""A model of one's own, from the configuration that Keras wrote for it."""

import json

import keras
from keras.src.backend.common.stateless_scope import StatelessScope

from shared.keras_config import check_config, without_extras
from shared.spec import MOST_PARAMETERS, KerasSpec
from worker.training.data.rows import Data
from worker.training.errors import BadData, first_line


def build_keras(spec: KerasSpec, data: Data) -> keras.Model:
    """The model of the configuration, with new weights. Raises BadData where it cannot be built or does not fit.

    The configuration is checked here as it was at the post. It is built without memory first: its size is known before
    a weight exists.
    """
    problems = check_config(spec.config)
    if problems:
        raise BadData(f"the model's configuration {problems[0].detail}")
    text = json.dumps(without_extras(spec.config))
    try:
        with StatelessScope():
            parameters = keras.models.model_from_json(text).count_params()
        if parameters > MOST_PARAMETERS:
            raise BadData(f"the model has {parameters} parameters, expected at most {MOST_PARAMETERS}")
        model = keras.models.model_from_json(text)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise BadData(f"the model cannot be built from its configuration: {first_line(error)}") from error
    _check_outputs(model, data)
    return model


def _check_outputs(model: keras.Model, data: Data) -> None:
    if len(model.outputs) != 1:
        raise BadData(f"the model has {len(model.outputs)} outputs; models with one output can be trained")
    (output,) = model.outputs
    columns = data.train.targets.shape[1]
    expected = len(data.classes) if data.train.targets.dtype.kind == "i" and data.classes else columns
    if len(output.shape) != 2 or output.shape[1] != expected:
        what = "one for each class" if expected > 1 and columns == 1 else "one for each column of the target"
        raise BadData(f"the model's output has the shape {tuple(output.shape)}; expected {expected} outputs, {what}")
