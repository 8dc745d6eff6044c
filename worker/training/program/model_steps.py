"""A script's model before its first step: its variables are created and its own code is inspected."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from shared.problems import list_names
from worker.training.engine.own_code import has_own_logs, is_own, operations_of, specs_of_any_rows, trace_step
from worker.training.program import random_state
from worker.training.resume.state import build_variables, named_variables, own_optimizers

log = logging.getLogger(__name__)

# Operations that draw random numbers from a state that TensorFlow hides, or that is in variables unknown to Keras.
_DRAWING = frozenset(
    {
        "Multinomial", "ParameterizedTruncatedNormal", "RandomGamma", "RandomPoisson", "RandomPoissonV2",
        "RandomShuffle", "RandomStandardNormal", "RandomUniform", "RandomUniformInt", "RngReadAndSkip", "RngSkip",
        "StatefulStandardNormalV2", "StatefulTruncatedNormal", "StatefulUniform", "StatefulUniformFullInt",
        "StatefulUniformInt", "TruncatedNormal",
    }
)  # fmt: skip

_DRAWS = (
    "the model's step uses TensorFlow's {}, whose state cannot be saved; use keras.random with a "
    "keras.random.SeedGenerator that is an attribute of the model"
)
_UNKEPT = (
    "the model's step uses variables that Keras does not track and that are not saved: {}; create them with "
    "add_weight, or make metrics and seed generators attributes of the model"
)
_NOT_WHOLE = (
    "the model creates variables in its first step, so an interrupted call of fit starts again; build the model and "
    "its optimizers before fit"
)


@dataclass(frozen=True)
class ModelSteps:
    """The training step of a model with its own code: its TensorFlow operations, and the names in its logs.

    Both are empty for a model of Keras's classes, and for a step that cannot be traced. `is_whole`: whether all
    variables exist before the first step.
    """

    operations: frozenset[str] = frozenset()
    logged: frozenset[str] = frozenset()
    is_whole: bool = True
    unkept: tuple[str, ...] = ()

    @property
    def inexact(self) -> list[str]:
        """Reasons why a resumed run may compute different numbers; empty if none is found."""
        drawing = min(self.operations & _DRAWING, default="")
        found = [_DRAWS.format(drawing)] if drawing else []
        found += [_UNKEPT.format(list_names(self.unkept))] if self.unkept else []
        return found if self.is_whole else [*found, _NOT_WHOLE]


def make_variables(model: keras.Model, batch: Any) -> ModelSteps:
    """Create all variables from a first batch, without a training step; a step with the script's own code is traced.

    A model that only its own `train_step` can call is built by tracing that.
    """
    batch = tree.map_structure(_with_texts_as_tensors, batch)
    try:
        build_variables(model, batch)
        is_whole = _has_whole_optimizers(model)
    except Exception:
        if not is_own(model, "train_step"):
            raise
        log.info("the model is built by its own train_step", exc_info=True)
        is_whole = False
    # A step that runs eagerly is not traced, because it may count its calls in Python.
    if is_whole and (model.run_eagerly or not any(map(_is_of_a_script, _parts(model)))):
        return ModelSteps()
    traced = _trace(model.train_step, batch)
    if traced is None:
        return ModelSteps(is_whole=is_whole)
    logs = traced.structured_outputs
    logged = frozenset(logs) if has_own_logs(model) and isinstance(logs, dict) else frozenset()
    return ModelSteps(
        frozenset(operations_of(traced)), logged, _has_whole_optimizers(model), tuple(_unkept_variables(model, traced))
    )


def _unkept_variables(model: keras.Model, traced: Any) -> list[str]:
    kept = [variable for _, variable in named_variables(model, inside_epoch=True)]
    values = {id(variable.value) for variable in (*kept, *random_state.keras_variables())}
    return sorted(variable.name.partition(":")[0] for variable in traced.variables if id(variable) not in values)


def _has_whole_optimizers(model: keras.Model) -> bool:
    return all(optimizer.built for _, optimizer in own_optimizers(model))


def _parts(model: keras.Model) -> Iterator[Any]:
    yield from model._flatten_layers()
    yield from (model.optimizer, model.loss)


def _is_of_a_script(part: Any) -> bool:
    kind = part if callable(part) and hasattr(part, "__name__") else type(part)
    return not kind.__module__.startswith(("keras.", "builtins"))


def _trace(step: Callable[[Any], Any], batch: Any) -> Any:
    try:
        return trace_step(step, specs_of_any_rows(batch))
    except Exception:
        # A script's step may need to run eagerly, or with batches of a certain size.
        log.info("the model's step cannot be traced before its first batch", exc_info=True)
        return None


def _with_texts_as_tensors(array: Any) -> Any:
    """Convert arrays of text to tensors, of which Keras can take the shape and type."""
    is_text = isinstance(array, np.ndarray) and array.dtype.kind == "U"
    return tf.constant(array) if is_text else array
