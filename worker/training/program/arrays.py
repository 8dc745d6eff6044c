"""Reads the data that a script passes to `fit` as rows, in the structure that its model takes."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import tree

# Private names, pinned by a test: Keras's own code checks, packs and splits the arrays.
from keras.src.trainers.data_adapters import array_slicing
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter, can_convert_arrays

from worker.training.data.rows import Array, Data, Part

_PIECE_ROWS_BYTES = 16 * 1024**2
_KINDS = "biufU"


class NotRows(Exception):
    """Data, or a way to iterate over it, that this module does not support. The message is the reason."""


@dataclass(frozen=True)
class TreePart(Part):
    """Rows in the script's own nested structure. Its last leaf is `targets`, and the leaves before it are `inputs`."""

    structure: Any = None

    def batch(self, arrays: Sequence[Any]) -> tuple[Any, ...]:
        """The argument of a Keras step: x, y and sample weights, in the script's structure."""
        packed: tuple[Any, ...] = tree.pack_sequence_as(self.structure, list(arrays))
        return packed


def read_data(arguments: Mapping[str, Any]) -> Data:
    """The rows of a call of `fit`, from its arguments by name.

    Raises NotRows; ValueError for a generator, which cannot be restarted; and what Keras raises for bad arrays.
    """
    if isinstance(arguments["x"], Iterator):
        raise ValueError(
            "fit was given a generator, which cannot be restarted after an interruption; "
            "pass arrays, a keras.utils.PyDataset or a tf.data.Dataset"
        )
    _check_ways(arguments)
    x, y, weights = arguments["x"], arguments["y"], arguments["sample_weight"]
    if not can_convert_arrays((x, y, weights)):
        raise NotRows(f"x is {_kind_of(x)}")
    validation = arguments["validation_data"]
    if validation is None and arguments["validation_split"]:
        (x, y, weights), validation = array_slicing.train_validation_split(
            (x, y, weights), validation_split=arguments["validation_split"]
        )
    train = _part(x, y, weights, arguments["class_weight"])
    return Data(train, read_validation(validation) if validation is not None else _empty(train))


def _check_ways(arguments: Mapping[str, Any]) -> None:
    for name, usual in (("steps_per_epoch", None), ("validation_steps", None), ("validation_freq", 1)):
        if arguments[name] != usual:
            raise NotRows(f"{name} is given")
    if not isinstance(arguments["shuffle"], bool):
        raise NotRows(f"shuffle is {arguments['shuffle']!r}")


def read_validation(given: Any) -> Part:
    """The rows of `validation_data`. Raises NotRows, and what Keras raises for bad arrays."""
    if not isinstance(given, tuple | list) or len(given) not in {1, 2, 3} or not can_convert_arrays(tuple(given)):
        raise NotRows(f"validation_data is {_kind_of(given)}")
    x, y, weights = (*given, None, None)[:3]
    return _part(x, y, weights, None)


def _part(x: Any, y: Any, weights: Any, class_weight: Any) -> TreePart:
    packed = ArrayDataAdapter(x, y, weights, batch_size=1, class_weight=class_weight)._inputs
    leaves = [_array(leaf) for leaf in tree.flatten(packed)]
    if not len(leaves[-1]):
        raise NotRows("the arrays have no rows")
    structure = tree.map_structure(lambda _: 0, packed)
    return _in_structure(leaves, structure)


def _in_structure(leaves: Sequence[Array], structure: Any) -> TreePart:
    inputs = {str(number): leaf for number, leaf in enumerate(leaves[:-1])}
    return TreePart(inputs=inputs, targets=leaves[-1], structure=structure)


def _empty(train: TreePart) -> TreePart:
    return _in_structure([one[:0] for one in train.arrays], train.structure)


def _array(leaf: Any) -> Array:
    if type(leaf).__module__.startswith("pandas"):
        values = leaf.to_numpy()
        leaf = np.expand_dims(values, axis=-1) if type(leaf).__name__ == "Series" else values
    if not hasattr(leaf, "__array__") or hasattr(leaf, "tocsr"):
        raise NotRows(f"an array is {_kind_of(leaf)}")
    array = np.asarray(leaf)
    if array.dtype.kind in "OS" and array.size and isinstance(array.flat[0], str | bytes):
        array = np.char.decode(array.astype("S"), "utf-8") if isinstance(array.flat[0], bytes) else array.astype("U")
    if array.dtype.kind not in _KINDS or not array.ndim:
        raise NotRows(f"an array holds {array.dtype}")
    return array


def has_texts(data: Data) -> bool:
    """Whether an array holds text, which the fused engine cannot train on."""
    return any(one.dtype.kind == "U" for one in data.train.arrays)


def fingerprint(data: Data) -> str:
    """A hash of all arrays, which shows whether a resumed attempt has the same data."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (data.train, data.validation):
        for array in part.arrays:
            digest.update(f"{array.dtype} {array.shape}\n".encode())
            rows = max(1, _PIECE_ROWS_BYTES // max(1, array.nbytes // max(1, len(array))))
            for start in range(0, len(array), rows):
                digest.update(np.ascontiguousarray(array[start : start + rows]).data)
    return digest.hexdigest()


def _kind_of(value: Any) -> str:
    kind = type(value)
    if kind.__module__.startswith("tensorflow.python.data"):
        return "a tf.data dataset"
    if any(one.__name__ == "PyDataset" for one in kind.__mro__):
        return f"the PyDataset {kind.__name__}"
    return f"of the type {kind.__name__}"
