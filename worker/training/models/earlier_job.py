"""Builds the best model of an earlier job for fine-tuning: a new head if the target differs, frozen layers."""

import tempfile
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from shared.earlier_model import CannotStart, EarlierModel, find_kept
from shared.events import Event
from shared.job import JobRecord
from shared.job_folder import JobFolder
from shared.keras_head import Head
from shared.resolve.earlier import Target, keeps_head, model_misfits
from shared.spec import EarlierJobSpec
from shared.storage import at_path
from worker.training.data.rows import Data
from worker.training.errors import BadData, DataChanged, DataMissing
from worker.training.hashing import do_nothing, sha256_of
from worker.training.models.keras_json import build_config, check_outputs
from worker.training.models.weights import take_arrays

_WEIGHTS = "model.weights.h5"
_PIECE_BYTES = 1024**2


def find_earlier_model(
    job: JobFolder, record: JobRecord, keep_alive: Callable[[], None] = do_nothing
) -> EarlierModel | None:
    """The earlier job's model that the job starts from, checked against its hash; None if it does not start from one.

    `keep_alive`: see `sha256_of`. Raises DataMissing, DataChanged, BadData.
    """
    try:
        earlier = find_kept(job, record)
        if earlier is not None and sha256_of(earlier.file, keep_alive) != earlier.ancestor.sha256:
            raise DataChanged(
                "the model that the job starts from has changed since the job was posted; post the job again"
            )
        if earlier is not None:
            _ = earlier.config, earlier.columns
        return earlier
    except FileNotFoundError as error:
        raise DataMissing("the model that the job starts from is not on the volume") from error
    except CannotStart as error:
        raise BadData(f"the model that the job starts from cannot be used: {error}") from error


def build_earlier_model(
    spec: EarlierJobSpec, record: JobRecord, data: Data, earlier: EarlierModel, make_head: Callable[[str], Any]
) -> keras.Model:
    """The earlier model with its weights, and a new head if the target differs: `make_head(name)` creates that layer.

    Raises BadData if the model does not fit the data, by the same code that checked it when the job was posted.
    """
    target = target_of(record, data)
    misfits = model_misfits(earlier, record.data_spec, target, data.shapes)
    if misfits:
        raise BadData(f"the model of {spec.job}: {misfits[0].detail}")
    model = build_config(_with_precision(earlier, record))
    _take_weights(model, earlier)
    head = earlier.head
    if not keeps_head(earlier, record.data_spec.dataset, target):
        assert isinstance(head, Head), "judged above"
        model, head = _with_new_head(model, head, make_head)
    _freeze(model, head, spec)
    check_outputs(model, data)
    return model


def describe_earlier_model(model: keras.Model, record: JobRecord, data: Data, earlier: EarlierModel) -> Event:
    """The event that reports which model is trained, how many of its parameters, and with which head."""
    parameters = model.count_params()
    trained = sum(int(np.prod(one.shape)) for one in model.trainable_weights)
    is_kept = keeps_head(earlier, record.data_spec.dataset, target_of(record, data))
    head = "the same head" if is_kept else "a new head"
    message = f"the model of {earlier.ancestor.job} with {head}, {parameters} parameters, {trained} of them trained"
    facts = {"kind": "job", "job": earlier.ancestor.job, "parameters": parameters, "trained": trained}
    return Event("model", message, {**facts, "new_head": not is_kept})


def target_of(record: JobRecord, data: Data) -> Target:
    """What the model must predict for this data."""
    columns = data.train.targets.shape[1]
    outputs = len(record.data_task.classes or ()) or columns if record.data_task.kind == "multiclass" else columns
    return Target(record.data_task.kind, record.data_task.classes, outputs)


def _with_precision(earlier: EarlierModel, record: JobRecord) -> dict[str, Any]:
    """The configuration, with the new job's precision for each layer that has the earlier job's.

    The head keeps its precision, since the loss needs float32.
    """
    before, now = earlier.record.data_spec.hyperparameters.precision, record.data_spec.hyperparameters.precision
    config = deepcopy(earlier.config)
    if before != now:
        head = earlier.head.layer if isinstance(earlier.head, Head) else None
        for layer in _layers(config):
            policy = layer["config"].get("dtype")
            named = policy.get("config") if isinstance(policy, dict) else None
            if isinstance(named, dict) and named.get("name") == before and layer["config"].get("name") != head:
                named["name"] = now
    return config


def _layers(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every layer of the configuration, also of nested models."""
    for layer in config["config"]["layers"]:
        yield layer
        if "layers" in layer["config"]:
            yield from _layers(layer)


def _take_weights(model: keras.Model, earlier: EarlierModel) -> None:
    """Load the weights from the file, by the names of the arrays. Nothing else in it is loaded."""
    with at_path(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as unpacked:
        with zipfile.ZipFile(earlier.file) as archive, archive.open(_WEIGHTS) as packed:
            while piece := packed.read(_PIECE_BYTES):
                unpacked.write(piece)
        unpacked.seek(0)
        with h5py.File(unpacked, "r") as file:
            take_arrays(file, model)


def _with_new_head(model: keras.Model, head: Head, make_head: Callable[[str], Any]) -> tuple[keras.Model, Head]:
    """Replace the head, and everything after it, with a new one. Return the model and the new head."""
    inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    before = model.get_layer(head.layer)
    taken = {layer.name for layer in model.layers} - {before.name}
    name = next(one for one in ("head", *(f"head_{number}" for number in range(len(taken) + 1))) if one not in taken)
    new = make_head(name)
    return keras.Model(inputs, new(before.input), name=model.name), Head(name, new.units)


def _freeze(model: keras.Model, head: Head | str, spec: EarlierJobSpec) -> None:
    """Freeze the layers that are not trained, with the moving averages of their batch normalization."""
    # One by one: the setter of a model from a configuration does not reach every layer.
    for layer in model._flatten_layers():
        layer.trainable = True
    before = layers_before(model, head)
    kept = 0 if spec.trainable == "head" else spec.trainable
    if kept != "all":
        for layer in before[: max(0, len(before) - kept)]:
            layer.trainable = False


def layers_before(model: keras.Model, head: Head | str) -> list[keras.layers.Layer]:
    """The layers before the head, with the layers of nested models one by one.

    Layers without weights directly before the head, such as pooling, are left out, so that the list ends with the last
    layer of a network of `keras.applications`. If the head is unknown, it is the last layer with weights.
    """
    layers = list(model.layers)
    last = [number for number, layer in enumerate(layers) if layer.weights]
    at = next((number for number, one in enumerate(layers) if isinstance(head, Head) and one.name == head.layer), None)
    before = layers[: last[-1] if at is None else at]
    while before and not before[-1].weights:
        before.pop()
    return list(_leaves(before))


def _leaves(layers: list[Any]) -> Iterator[Any]:
    for layer in layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer.layers)
        else:
            yield layer
