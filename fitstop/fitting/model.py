"""Reads the user's model: its configuration, and its weights as a file."""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fitstop.client import Json
from fitstop.fitting.compiled import is_of_keras
from fitstop.fitting.problems import Problems

_MODELS = frozenset({"Functional", "Sequential"})
# Fields of `to_json` that the service does not read.
_DROPPED = ("compile_config", "build_config")


def build_model(model: Any, x: Any) -> None:
    """Build a model that has no input shape yet, as `model.fit` does at the first batch. This draws its weights."""
    shape = getattr(x, "shape", None)
    if not getattr(model, "built", True) and shape is not None:
        model.build((None, *shape[1:]))


def input_names(model: Any) -> Sequence[str]:
    """The names of the model's inputs; `x` if there is only one, or they are unknown."""
    inputs = getattr(model, "inputs", None) or []
    return [str(one.name) for one in inputs] if len(inputs) > 1 else ["x"]


def read_model(model: Any, problems: Problems) -> Json:
    """The model's configuration; empty if the model cannot be sent, with the reasons in `problems`."""
    kind = type(model).__name__
    if kind not in _MODELS or not is_of_keras(type(model).__module__):
        problems.add(f"the model is of the class {kind}, expected a Sequential or functional model of Keras 3")
        return {}
    if len(getattr(model, "outputs", None) or [None]) > 1:
        problems.add(f"the model has {len(model.outputs)} outputs; models with one output can be sent")
    refused = list(_refused_layers(model))
    problems.add_all(refused)
    if refused:
        return {}
    config: Json = json.loads(model.to_json())
    problems.add_all(_foreign(config))
    return {name: value for name, value in config.items() if name not in _DROPPED}


def _refused_layers(model: Any) -> Iterator[str]:
    """Yield a sentence for each layer that is not Keras's own, or that contains code; also in nested models."""
    for layer in model.layers:
        kind, module = type(layer).__name__, type(layer).__module__
        if not is_of_keras(module):
            yield f'the layer "{layer.name}" is of your own class {kind}; only layers of Keras can be sent'
        elif kind == "Lambda":
            yield f'the layer "{layer.name}" is a Lambda: it holds code, which cannot be sent with a model'
        elif kind in _MODELS:
            yield from _refused_layers(layer)
        elif callable(getattr(layer, "activation", None)) and _is_own_function(layer.activation):
            name = getattr(layer.activation, "__name__", "activation")
            yield f'the layer "{layer.name}" has your own activation {name}'


def _is_own_function(value: Any) -> bool:
    return not is_of_keras(str(getattr(value, "__module__", "keras")))


def _foreign(config: Any) -> Iterator[str]:
    """Yield a sentence for each class or function in the configuration that is not Keras's."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
            name, module = value.get("class_name"), value.get("module")
            is_foreign = module is not None and not is_of_keras(str(module))
            if name is not None and (is_foreign or (module is None and value.get("registered_name"))):
                what = value.get("config") if name == "function" else name
                yield f"the model holds {what}, which is not one of Keras's own"
        elif isinstance(value, list):
            waiting += value


@contextmanager
def saved_weights(model: Any) -> Iterator[tuple[Path, str]]:
    """Save the model's weights to a temporary file; its path and SHA-256, which is the same for the same weights."""
    with tempfile.TemporaryDirectory(prefix="fitstop-") as folder:
        path = Path(folder) / "model.weights.h5"
        model.save_weights(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield path, digest
