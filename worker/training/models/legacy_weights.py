"""Weights in the layout of Keras 1 and 2, as the published `*_notop.h5` files of `keras.applications` have it.

The root, or the group `model_weights` of a complete model, names its layers in the attribute `layer_names`. The group
of each layer names its arrays in `weight_names`: first the trainable ones, then the others.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

import h5py
import keras
import numpy as np

from worker.training.errors import BadData

_MODEL = "model_weights"
_LAYERS, _ARRAYS = "layer_names", "weight_names"
_MOST_ATTRIBUTE_BYTES = 1024**2
_MOST_PIECES = 100


def is_legacy(file: h5py.File) -> bool:
    """Whether the file, whose links have been checked, has the old layout."""
    return _root(file) is not None


def legacy_places(file: h5py.File, model: keras.Model) -> dict[str, Any]:
    """The model's variables, by the paths of their arrays in the file.

    Layers are matched by name. If the file lacks a name, they are matched in order, as Keras does: Keras numbers the
    names of some layers. Raises BadData if the file has no arrays for a layer.
    """
    prefix = _root(file)
    assert prefix is not None, "asked before"
    group = file[prefix] if prefix else file
    theirs = {name: _names(group[name], _ARRAYS) for name in _names(group, _LAYERS) if name in group}
    ours = {layer.name: found for layer in model.layers if (found := _variables(layer))}
    named = ours if set(ours) <= set(theirs) else _in_order(ours, theirs)
    places: dict[str, Any] = {}
    for layer, variables in named.items():
        if len(theirs[layer]) != len(variables):
            raise BadData(
                f"the weights hold {len(theirs[layer])} arrays for the layer {layer}, expected {len(variables)}; they "
                "are of another model"
            )
        places |= {f"{prefix}{layer}/{name}": one for name, one in zip(theirs[layer], variables, strict=True)}
    return places


def _root(file: h5py.File) -> str | None:
    """The prefix of the layers' groups; None if the file has another layout."""
    for prefix, group in (("", file), (f"{_MODEL}/", file.get(_MODEL))):
        if isinstance(group, h5py.Group) and {_LAYERS, f"{_LAYERS}0"} & set(group.attrs):
            return prefix
    return None


def _in_order(ours: Mapping[str, list[Any]], theirs: Mapping[str, list[str]]) -> dict[str, list[Any]]:
    """Match the model's layers with those of the file in order: the variables by the file's layer names."""
    with_arrays = [name for name, arrays in theirs.items() if arrays]
    if len(with_arrays) < len(ours):
        missing = next(name for name in ours if name not in theirs)
        raise BadData(f"the weights hold no layer {missing}; they belong to another model")
    return dict(zip(with_arrays, ours.values(), strict=False))


def _variables(layer: keras.layers.Layer) -> list[Any]:
    """A layer's variables in the old order, also of nested layers, whether they are frozen or not."""
    parts = list(layer._flatten_layers())
    trained = [one for part in parts for one in part._trainable_variables]
    return trained + [one for part in parts for one in part._non_trainable_variables]


def _names(group: Any, name: str) -> list[str]:
    """The strings of an attribute; a long one is in several numbered attributes. Raises BadData."""
    found: list[str] = []
    pieces = [name] if name in group.attrs else [f"{name}{number}" for number in range(_MOST_PIECES)]
    for piece in pieces:
        if piece not in group.attrs:
            break
        attribute = group.attrs.get_id(piece)
        if prod(attribute.shape) * attribute.dtype.itemsize > _MOST_ATTRIBUTE_BYTES:
            raise BadData(f"the weights have an attribute {piece} that is too long, expected the names of layers")
        found += [one.decode() if isinstance(one, bytes) else str(one) for one in np.ravel(group.attrs[piece]).tolist()]
    return found
