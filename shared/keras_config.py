"""Check the untrusted configuration of a Keras model before Keras reads it. Needs no Keras.

`keras.models.model_from_json` builds anything that a configuration names, and its safe mode has been bypassed
repeatedly (CVE-2025-1550, -8747, -9905, -9906). So only the classes and names of `shared/keras_names.py` are allowed,
each with the module that Keras writes for it, and numbers only up to a maximum.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from shared.findings import Place
from shared.keras_names import CLASSES, CONVNEXT_LAYERS, DTYPES, LAYERS, MODELS, TEXTS

# Fields that Keras writes in addition to an object's architecture, also in nested models; dropped before building.
_DROPPED = ("compile_config", "build_config", "shared_object_id")
_MOST_OBJECTS = 60_000
_MOST_DEPTH = 60
_MOST_TEXT = 256
_MOST_NUMBER = 1_000_000
MOST_ROW_NUMBERS = 100_000_000
_MOST_PROBLEMS = 100
_COUNTS = {
    "units": 65_536, "filters": 65_536, "num_heads": 1024, "depth_multiplier": 256, "output_dim": 65_536,
    "power_iterations": 100,
}  # fmt: skip
_INPUT_SHAPES = ("batch_shape", "batch_input_shape")
# Numbers that are data and not sizes have no maximum.
_VALUES = frozenset({"mean", "variance", "scale", "offset", "seed", "value"})


@dataclass(frozen=True)
class ConfigProblem:
    """What is wrong, and where in the configuration."""

    place: Place
    detail: str
    code: str


def check_config(config: dict[str, Any]) -> list[ConfigProblem]:
    """The reasons why the model must not be built: at most the first hundred."""
    if not _is_model(config):
        detail = (
            f"received the class {_short(config.get('class_name'))}; expected what Keras 3 writes for a Sequential or "
            "functional model: json.loads(model.to_json()). A subclass of keras.Model cannot be sent"
        )
        return [ConfigProblem((), detail, "not_a_model")]
    problems: list[ConfigProblem] = []
    for count, (place, value) in enumerate(_walk(config)):
        if count >= _MOST_OBJECTS or len(place) > _MOST_DEPTH:
            limits = f"{_MOST_OBJECTS} values and {_MOST_DEPTH} levels"
            return [ConfigProblem((), f"is too large or too deeply nested, expected at most {limits}", "too_large")]
        detail = _refusal(place, value)
        if detail and len(problems) < _MOST_PROBLEMS:
            problems.append(ConfigProblem(place, detail, "not_allowed"))
    return problems


def without_extras(config: Any) -> Any:
    """The configuration of the architecture alone."""
    if isinstance(config, list):
        return [without_extras(one) for one in config]
    if not isinstance(config, dict):
        return config
    return {name: without_extras(value) for name, value in config.items() if not _is_extra(config, name)}


def layer_classes(config: dict[str, Any]) -> set[str]:
    """The names of the classes of all layers, also inside another model."""
    found = (value.get("class_name") for _, value in _walk(config) if isinstance(value, dict))
    return {name for name in found if isinstance(name, str) and name in LAYERS | CONVNEXT_LAYERS}


def input_shapes(config: dict[str, Any]) -> dict[str, tuple[int | None, ...]]:
    """The shape of one row of each input of the model, with None for any length; empty if the input has no shape."""
    found = {}
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "InputLayer":
            inner = layer["config"]
            shape = next((inner[name] for name in _INPUT_SHAPES if inner.get(name)), ())
            found[str(inner.get("name"))] = tuple(shape[1:])
    return found


def _is_model(config: dict[str, Any]) -> bool:
    """Whether it has the form of a Keras model: named, with a list of layers, each with a configuration."""
    name, inner = config.get("class_name"), config.get("config")
    if not isinstance(name, str) or name not in MODELS or "module" not in config or not isinstance(inner, dict):
        return False
    layers = inner.get("layers")
    return isinstance(layers, list) and all(
        isinstance(one, dict) and "class_name" in one and isinstance(one.get("config"), dict) for one in layers
    )


def _is_extra(holder: dict[str, Any], name: str) -> bool:
    return name in _DROPPED and "class_name" in holder


def _walk(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield every value in the configuration with its place, each object before its content."""
    waiting: list[tuple[Place, Any]] = [(place, value)]
    while waiting:
        place, value = waiting.pop()
        yield place, value
        if isinstance(value, dict):
            waiting += [((*place, name), one) for name, one in value.items() if not _is_extra(value, name)]
        elif isinstance(value, list):
            waiting += [((*place, index), one) for index, one in enumerate(value)]


def _refusal(place: Place, value: Any) -> str:
    """Why a value is refused; empty if it is allowed."""
    if place and place[-1] in _INPUT_SHAPES and not isinstance(value, list | None):
        return "received a shape that is not a list of whole numbers and null"
    if isinstance(value, dict):
        return _class_refusal(value) if "class_name" in value else ""
    if isinstance(value, str):
        return _text_refusal(str(place[-1]), value)
    if isinstance(value, list):
        return _shape_refusal(place, value)
    if value is True and place[-1] == "unroll":
        return "received true; expected false: an unrolled layer is compiled once for each of its time steps"
    return "" if isinstance(value, bool) or not isinstance(value, int | float) else _number_refusal(place, value)


def _text_refusal(field: str, value: str) -> str:
    if len(value) > _MOST_TEXT:
        return f"is a text of {len(value)} characters, expected at most {_MOST_TEXT}"
    known = next((names for ending, names in TEXTS.items() if field.endswith(ending)), None)
    if known is None or value in known:
        return ""
    return f'received "{_short(value)}"; expected one of {", ".join(sorted(known))}'


def _number_refusal(place: Place, value: float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"received {value}, expected a finite number"
    # The field that the number belongs to, also if it is in a list.
    field = next((str(one) for one in reversed(place) if isinstance(one, str)), "")
    if field in _VALUES:
        return ""
    if field in _COUNTS and not isinstance(value, int):
        return f"received {value}, expected a whole number"
    most = _COUNTS.get(field, _MOST_NUMBER)
    return f"received {_short(value)}, expected at most {most}" if abs(value) > most else ""


def _shape_refusal(place: Place, value: list[Any]) -> str:
    if not place or not str(place[-1]).endswith("shape"):
        return ""
    if not all(one is None or (isinstance(one, int) and one >= 0) for one in value) and place[-1] != "target_shape":
        return "received a shape that is not a list of whole numbers and null"
    numbers = prod(one for one in value if isinstance(one, int))
    if numbers > MOST_ROW_NUMBERS:
        return f"is a shape of {_short(numbers)} numbers, expected at most {MOST_ROW_NUMBERS}"
    return ""


def _class_refusal(value: dict[str, Any]) -> str:
    module, name, registered = value.get("module"), value["class_name"], value.get("registered_name")
    if not isinstance(name, str) or not isinstance(module, str | None):
        return "names its class by a value that is not text"
    if name == "__keras_tensor__" and module is None:
        return ""
    if name not in CLASSES.get(module or "", ()) or registered not in (None, name):
        full = _short(f"{module}.{name}" if module else name)
        return (
            f"names the class {full}{_layer_words(value)}, which is not one of the layers of Keras that can be sent; "
            "run a model with layers of its own as a script (fitstop run)"
        )
    if name == "DTypePolicy":
        policy = value.get("config")
        dtype = policy.get("name") if isinstance(policy, dict) else policy
        is_known = isinstance(dtype, str) and dtype in DTYPES
        return (
            "" if is_known else f"names the dtype policy {_short(dtype)}; expected one of {', '.join(sorted(DTYPES))}"
        )
    return ""


def _layer_words(value: dict[str, Any]) -> str:
    """The layer's name in words; empty if it has none."""
    inner = value.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    return f' (the layer "{_short(name)}")' if isinstance(name, str) else ""


def _short(value: Any) -> str:
    text = str(value) if not isinstance(value, int) or abs(value) < 10**30 else "more than 1e30"
    return text if len(text) <= 64 else f"{text[:63]}…"
