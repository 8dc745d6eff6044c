"""Writes a model's file from a snapshot of its variables: the file that `model.save` would write at that moment.

`model.save` takes tens of milliseconds of Python for a small model and cannot run during training. So Keras saves the
model once, before training, with a different number in each variable. This shows which dataset of the HDF5 file belongs
to which variable. Later files have the same layout, with the values of a snapshot. They load with plain Keras.
"""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import h5py
import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from shared.problems import FitstopError
from shared.storage import at_path
from worker.training.learning_rate import read_learning_rate

Form = Literal["keras", "h5"]

_WEIGHTS = "model.weights.h5"
_CONFIG = "config.json"
# Keras writes the training configuration of a legacy .h5 file into this attribute of its root.
_H5_CONFIG = "training_config"
# A larger file gets no template in memory: writing its values takes longer than making its layout.
_MOST_TEMPLATE_BYTES = 8 * 1024**2
# For errors: Python tries several temporary folders, so if all are full the path is not known.
_TEMPORARY = Path("/tmp")  # noqa: S108


Content = Callable[[], bytes]


@dataclass(frozen=True)
class _Snapshot:
    """The variables' values at one moment. Not copied: TensorFlow copies a tensor in use before a change."""

    tensors: tuple[tf.Tensor, ...]
    learning_rate: float


class UnknownLayout(FitstopError):
    """Keras has written a file whose layout this module does not understand."""

    code = "unknown_layout"


@dataclass(frozen=True)
class _Dataset:
    """One HDF5 dataset: the values of variable number `variable`, or if that is None, fixed `content`."""

    path: str
    variable: int | None
    content: npt.NDArray[Any]


@dataclass(frozen=True)
class _Template:
    """A file's bytes. `places`: the offset of each variable's values, and the number of the variable."""

    content: bytes
    places: tuple[tuple[int, int], ...]
    learning_rate: float

    def fill(self, snapshot: _Snapshot) -> bytearray:
        content = bytearray(self.content)
        for offset, variable in self.places:
            values = snapshot.tensors[variable].numpy().tobytes()
            content[offset : offset + len(values)] = values
        return content


class ModelFile:
    """Writes files with the layout that Keras gives the model's file. Raises UnknownLayout if that is unknown."""

    def __init__(self, model: keras.Model, form: Form) -> None:
        self._model = model
        self._is_archive = form == "keras"
        content = _save_with_marks(model, form)
        self._entries: dict[str, bytes] = {}
        if self._is_archive:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                self._entries = {name: archive.read(name) for name in archive.namelist()}
            content = self._entries.pop(_WEIGHTS)
        self._attributes: list[tuple[str, dict[str, Any]]] = []
        self._datasets: list[_Dataset] = []
        self._template: _Template | None = None
        with h5py.File(io.BytesIO(content), "r") as file:
            self._learn(file, _variables(model))

    def snapshot(self) -> Content:
        """Take a snapshot, and return a function that makes its file. It may be called later, in any thread."""
        tensors = tuple(tf.convert_to_tensor(variable.value) for variable in _variables(self._model))
        return partial(self._content, _Snapshot(tensors, read_learning_rate(self._model)))

    def _content(self, snapshot: _Snapshot) -> bytes:
        weights = self._weights(snapshot)
        if not self._is_archive:
            return bytes(weights)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, entry in self._entries.items():
                archive.writestr(name, _with_rate(entry, snapshot.learning_rate) if name == _CONFIG else entry)
            archive.writestr(_WEIGHTS, weights)
        return packed.getvalue()

    def _weights(self, snapshot: _Snapshot) -> bytes | bytearray:
        """The HDF5 file. Making its layout takes tens of milliseconds, so a small one is made once for each rate."""
        if self._template is not None and self._template.learning_rate == snapshot.learning_rate:
            return self._template.fill(snapshot)
        template = self._make_template(snapshot)
        self._template = template if len(template.content) <= _MOST_TEMPLATE_BYTES else None
        return template.content

    def _make_template(self, snapshot: _Snapshot) -> _Template:
        weights = io.BytesIO()
        with h5py.File(weights, "w") as file:
            self._write(file, snapshot)
            offsets = [(file[one.path].id.get_offset(), one.variable) for one in self._datasets]
        places = tuple((at, variable) for at, variable in offsets if at is not None and variable is not None)
        return _Template(weights.getvalue(), places, snapshot.learning_rate)

    def _learn(self, file: h5py.File, variables: list[Any]) -> None:
        self._attributes.append(("/", dict(file.attrs)))

        def visit(path: str, item: h5py.Group | h5py.Dataset) -> None:
            self._attributes.append((path, dict(item.attrs)))
            if isinstance(item, h5py.Dataset):
                self._datasets.append(_recognise(path, np.asarray(item[()]), variables))

        file.visititems(visit)
        known = {one.variable for one in self._datasets}
        missing = [one.path for index, one in enumerate(variables) if index not in known and one.trainable]
        if missing:
            raise UnknownLayout(f"the file holds no {missing[0]}")

    def _write(self, file: h5py.File, snapshot: _Snapshot) -> None:
        for one in self._datasets:
            values = one.content if one.variable is None else snapshot.tensors[one.variable].numpy()
            file.create_dataset(one.path, data=values)
        for path, attributes in self._attributes:
            item = file.require_group(path) if path not in file else file[path]
            for name, value in attributes.items():
                item.attrs[name] = _with_rate(value, snapshot.learning_rate) if name == _H5_CONFIG else value


class StockModelFile:
    """Saves the model with Keras's own `save`, at the time of the snapshot."""

    def __init__(self, model: keras.Model, form: Form) -> None:
        self._model = model
        self._form = form

    def snapshot(self) -> Content:
        """Save the model now, and return a function that returns its file."""
        content = _save(self._model, self._form)
        return lambda: content


def _variables(model: keras.Model) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]


def _save_with_marks(model: keras.Model, form: Form) -> bytes:
    """Save the model with variable number n (from 1) filled with n, and return the file. Restores the values."""
    variables = _variables(model)
    before = [variable.numpy() for variable in variables]
    try:
        for mark, variable in enumerate(variables, 1):
            variable.assign(np.full(variable.shape, mark, before[mark - 1].dtype))
        return _save(model, form)
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def _save(model: keras.Model, form: Form) -> bytes:
    with at_path(_TEMPORARY), tempfile.TemporaryDirectory(prefix="fitstop-") as folder:
        path = Path(folder) / f"model.{form}"
        model.save(path)
        return path.read_bytes()


def _recognise(path: str, content: npt.NDArray[Any], variables: list[Any]) -> _Dataset:
    if content.size == 0 or content.dtype.kind not in "fiu":
        return _Dataset(path, None, content)
    mark = int(content.flat[0])
    if not (content == mark).all() or not 1 <= mark <= len(variables):
        raise UnknownLayout(f"{path} holds values that belong to no variable")
    variable = variables[mark - 1]
    if tuple(variable.shape) != content.shape or keras.backend.standardize_dtype(variable.dtype) != content.dtype.name:
        raise UnknownLayout(f"{path} does not have the shape and type of {variable.path}")
    return _Dataset(path, mark - 1, np.empty(0))


def _with_rate(config: Any, learning_rate: float) -> Any:
    """The configuration (str or bytes, as given) with `learning_rate` as the optimizer's learning rate."""
    document = json.loads(config)
    compiled = document.get("compile_config", document)
    optimizer = (compiled.get("optimizer") or compiled.get("optimizer_config"))["config"]
    optimizer = optimizer.get("inner_optimizer", {}).get("config", optimizer)
    if isinstance(optimizer.get("learning_rate"), float):
        optimizer["learning_rate"] = learning_rate
    text = json.dumps(document)
    return text.encode() if isinstance(config, bytes) else text
