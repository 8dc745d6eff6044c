"""The head of a Keras model, found in its configuration: the dense layer that its output comes from. Needs no Keras."""

from dataclasses import dataclass
from typing import Any

# Layers that may follow the head: they have no weights and change no shape.
_AFTER = frozenset({"Activation", "Dropout", "Identity", "Softmax"})


@dataclass(frozen=True)
class Head:
    """A model's last dense layer by its name, with its number of units."""

    layer: str
    units: int


def find_head(config: dict[str, Any]) -> Head | str:
    """The head, or why it cannot be replaced. Expects a checked configuration."""
    layers = {_name(one): one for one in config["config"]["layers"]}
    name = _last(config)
    while name in layers:
        layer = layers[name]
        if layer["class_name"] == "Dense":
            return Head(name, int(layer["config"]["units"]))
        if layer["class_name"] not in _AFTER:
            return (
                f'its output comes from the layer "{name}" ({layer["class_name"]}); a new head replaces a Dense layer'
            )
        name = _before(config, layer)
    return "its output does not come from one Dense layer"


def _name(layer: dict[str, Any]) -> str:
    return str(layer["config"].get("name"))


def _last(config: dict[str, Any]) -> str:
    """The name of the layer that produces the output."""
    inner = config["config"]
    if config["class_name"] == "Sequential":
        return _name(inner["layers"][-1])
    place = inner.get("output_layers")
    while isinstance(place, list | dict) and place and isinstance(_first(place), list | dict):
        place = _first(place)
    return str(place[0]) if isinstance(place, list) and place else ""


def _first(place: Any) -> Any:
    return next(iter(place.values())) if isinstance(place, dict) else place[0]


def _before(config: dict[str, Any], layer: dict[str, Any]) -> str:
    """The name of the only layer before `layer`; empty if there is none or more than one."""
    if config["class_name"] == "Sequential":
        names = [_name(one) for one in config["config"]["layers"]]
        at = names.index(_name(layer))
        return names[at - 1] if at else ""
    calls = layer.get("inbound_nodes") or []
    if len(calls) != 1:
        return ""
    tensors = calls[0].get("args") or []
    if len(tensors) != 1 or not isinstance(tensors[0], dict):
        return ""
    return str(tensors[0].get("config", {}).get("keras_history", [""])[0])
