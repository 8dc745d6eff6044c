"""Loads uploaded weights: the arrays of an HDF5 file, by name, into a model that is already built.

The file is not trusted. It is never loaded as a model, and no link or reference to another file is followed. The shape
and the type of an array are checked before its numbers are read, so the model limits the memory.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import keras
import numpy as np

from shared.job import JobRecord
from shared.job_folder import AttemptFolder
from shared.plain_files import open_plain
from shared.spec import ApplicationSpec
from shared.storage import at_path
from shared.weights import weights_file_of, weights_of
from worker.training.errors import BadData, DataChanged, DataMissing
from worker.training.models.legacy_weights import is_legacy, legacy_places

_MOST_ITEMS = 100_000
# Arrays that a compiled model saves in addition to its own weights.
_NOT_OF_THE_MODEL = ("optimizer/", "metrics/", "optimizer_weights/")


def load_weights(model: keras.Model, record: JobRecord, attempt: AttemptFolder) -> None:
    """Load the job's uploaded weights into the model. Does nothing if the job has none.

    In a model of `keras.applications` they go into the network, and the file's own head is ignored. Raises DataMissing,
    DataChanged, or BadData, which names the first variable that differs.
    """
    weights_id = weights_of(record.data_spec)
    if weights_id is None:
        return
    try:
        # Hashed and read through one handle, so that the file cannot be replaced in between.
        with open_plain(weights_file_of(attempt.job, weights_id)) as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != record.weights_sha256:
                raise DataChanged("the weights have changed since the job was posted; post the job again")
            _load(model, record, content)
    except FileNotFoundError as error:
        raise DataMissing(f'the weights "{weights_id}" are not on the volume') from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the volume failed: HDF5's own errors have no number
        raise BadData(f'the weights "{weights_id}" cannot be read as HDF5: {error}') from error


def take_arrays(file: h5py.File, model: keras.Model) -> None:
    """Load the arrays of a complete model's file into the model. Raises BadData, which names the first that differs."""
    _take(dict(_arrays(file)), _places(model), takes_part=False)


def _load(model: keras.Model, record: JobRecord, content: BinaryIO) -> None:
    networks = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    is_network = isinstance(record.data_spec.model, ApplicationSpec)
    target = networks[0] if is_network else model
    with h5py.File(content, "r") as file:
        arrays = dict(_arrays(file))
        places = legacy_places(file, target) if is_legacy(file) else _places(target)
        _take(arrays, places, takes_part=is_network)


def _take(arrays: Mapping[str, h5py.Dataset], places: Mapping[str, Any], *, takes_part: bool) -> None:
    for name, variable in places.items():
        _check(arrays.get(name), variable)
    more = [name for name in arrays if name not in places]
    if more and not takes_part:
        raise BadData(f"the weights hold {more[0]}, for which the model has no variable; they belong to another model")
    for name, variable in places.items():
        variable.assign(np.asarray(arrays[name][()]))


def _check(array: h5py.Dataset | None, variable: Any) -> None:
    """Raise BadData if the file's array does not fit this variable."""
    dtype, shape = keras.backend.standardize_dtype(variable.dtype), tuple(variable.shape)
    if array is None:
        raise BadData(f"the weights hold no {variable.path}; they belong to another model")
    if array.shape != shape or array.dtype.name != dtype:
        raise BadData(
            f"the weights hold {variable.path} as {array.dtype.name} of shape {array.shape}, expected {dtype} of shape "
            f"{shape}; they belong to another model"
        )


def _arrays(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield every array with its path. Raises BadData if the file refers to anything outside itself."""
    waiting, seen = [("", file)], 0
    while waiting:
        prefix, group = waiting.pop()
        for name in group:
            seen += 1
            if seen > _MOST_ITEMS or not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise BadData(f"the weights hold a link or too many entries ({prefix}{name}), expected arrays alone")
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append((f"{prefix}{name}/", item))
            elif isinstance(item, h5py.Dataset):
                if item.is_virtual or item.external:
                    raise BadData(f"the weights take {prefix}{name} from another file, expected arrays alone")
                if not f"{prefix}{name}".startswith(_NOT_OF_THE_MODEL):
                    yield f"{prefix}{name}", item


def _places(model: keras.Model) -> dict[str, Any]:
    """The model's variables in order, by the names that Keras gives them in a file.

    To find the names, Keras saves the model once with a different number in each variable.
    """
    variables = model.variables
    before = [variable.numpy() for variable in variables]
    try:
        for mark, variable in enumerate(variables, 1):
            variable.assign(np.full(variable.shape, mark, before[mark - 1].dtype))
        marks = _saved_marks(model)
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
    in_order = sorted(marks.items(), key=lambda one: one[1])
    return {name: variables[mark - 1] for name, mark in in_order}


def _saved_marks(model: keras.Model) -> dict[str, int]:
    with at_path(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory(prefix="fitstop-") as folder:
        path = Path(folder) / "marks.weights.h5"
        model.save_weights(path)
        with h5py.File(path, "r") as file:
            return {name: int(array[()].flat[0]) for name, array in _arrays(file) if array.size}
