"""A Keras model's configuration from outside, checked before Keras sees it. Needs no Keras.

`keras.models.model_from_json` builds whatever a configuration names, and its safe mode has been passed by again and
again (CVE-2025-1550, -8747, -9905, -9906). So only classes of the lists below are let through, by the module that Keras
writes for them, and numbers only up to what a model can be made of.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from shared.findings import Place

# What `model.to_json()` writes beside the architecture; it is dropped before the model is built.
_DROPPED = ("compile_config", "build_config")
_MOST_OBJECTS = 20_000
_MOST_DEPTH = 60
_MOST_TEXT = 256
_MOST_INTEGER = 1_000_000
_MOST_ROW_NUMBERS = 100_000_000
_UNITS = {"units": 65_536, "filters": 65_536, "num_heads": 1024, "depth_multiplier": 256, "output_dim": 65_536}

LAYERS = frozenset(
    {
        "Activation", "ActivityRegularization", "Add", "AdditiveAttention", "AlphaDropout", "Attention", "Average",
        "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "BatchNormalization", "Bidirectional",
        "CategoryEncoding", "CenterCrop", "Concatenate", "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose",
        "Conv3D", "Conv3DTranspose", "ConvLSTM1D", "ConvLSTM2D", "Cropping1D", "Cropping2D", "Dense",
        "DepthwiseConv1D", "DepthwiseConv2D", "Dot", "Dropout", "ELU", "EinsumDense", "Embedding", "Flatten", "GRU",
        "GRUCell", "GaussianDropout", "GaussianNoise", "GlobalAveragePooling1D", "GlobalAveragePooling2D",
        "GlobalAveragePooling3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
        "GroupNormalization", "GroupQueryAttention", "Identity", "InputLayer", "LSTM", "LSTMCell",
        "LayerNormalization", "LeakyReLU", "Masking", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "Maximum",
        "Minimum", "MultiHeadAttention", "Multiply", "Normalization", "PReLU", "Permute", "RMSNormalization", "RNN",
        "RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip", "RandomRotation", "RandomTranslation",
        "RandomZoom", "ReLU", "RepeatVector", "Rescaling", "Reshape", "Resizing", "SeparableConv1D",
        "SeparableConv2D", "SimpleRNN", "SimpleRNNCell", "Softmax", "SpatialDropout1D", "SpatialDropout2D",
        "SpatialDropout3D", "SpectralNormalization", "StackedRNNCells", "Subtract", "TimeDistributed",
        "UnitNormalization", "UpSampling1D", "UpSampling2D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding2D",
        "ZeroPadding3D",
    }
)  # fmt: skip
_MODELS = frozenset({"Functional", "Sequential"})
_INITIALIZERS = frozenset(
    {
        "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "LecunNormal",
        "LecunUniform", "Ones", "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling",
        "Zeros",
    }
)  # fmt: skip
_REGULARIZERS = frozenset({"L1", "L2", "L1L2", "OrthogonalRegularizer"})
_CONSTRAINTS = frozenset({"MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"})

_CLASSES: dict[str, frozenset[str]] = {
    "keras": _MODELS | {"DTypePolicy"},
    "keras.models": _MODELS,
    "keras.src.models.functional": frozenset({"Functional"}),
    "keras.src.models.sequential": frozenset({"Sequential"}),
    "keras.layers": LAYERS,
    "keras.initializers": _INITIALIZERS,
    "keras.regularizers": _REGULARIZERS,
    "keras.constraints": _CONSTRAINTS,
}


@dataclass(frozen=True)
class ConfigProblem:
    """What is wrong, and where in the configuration."""

    place: Place
    detail: str
    code: str


def check_config(config: dict[str, Any]) -> list[ConfigProblem]:
    """Everything that stands against building the model; empty where nothing does."""
    if config.get("class_name") not in _MODELS or "module" not in config:
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
        if detail:
            problems.append(ConfigProblem(place, detail, "not_allowed"))
    return problems


def without_extras(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration without what is not the architecture."""
    return {name: value for name, value in config.items() if name not in _DROPPED}


def layer_classes(config: dict[str, Any]) -> set[str]:
    """The names of the classes of all layers, also of those inside another model."""
    found = (value.get("class_name") for _, value in _walk(config) if isinstance(value, dict))
    return {name for name in found if name in LAYERS}


def input_shapes(config: dict[str, Any]) -> dict[str, tuple[int | None, ...]]:
    """For each input of the model the shape of one row, None for any length; empty where it names none."""
    layers = config.get("config", {}).get("layers", ())
    found = {}
    for layer in layers:
        inner = layer.get("config", {}) if isinstance(layer, dict) else {}
        if isinstance(layer, dict) and layer.get("class_name") == "InputLayer":
            shape = inner.get("batch_shape") or inner.get("batch_input_shape") or ()
            found[str(inner.get("name"))] = tuple(shape[1:])
    return found


def _walk(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value in the configuration with its place, each object before what is in it."""
    waiting: list[tuple[Place, Any]] = [(place, value)]
    while waiting:
        place, value = waiting.pop()
        yield place, value
        if isinstance(value, dict):
            waiting += [((*place, name), one) for name, one in value.items() if place or name not in _DROPPED]
        elif isinstance(value, list):
            waiting += [((*place, index), one) for index, one in enumerate(value)]


def _refusal(place: Place, value: Any) -> str:
    """Why a value cannot be let through; empty where it can."""
    if isinstance(value, dict):
        return _class_refusal(value) if "class_name" in value else ""
    if isinstance(value, str):
        return (
            "" if len(value) <= _MOST_TEXT else f"is a text of {len(value)} characters, expected at most {_MOST_TEXT}"
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _shape_refusal(place, value) if isinstance(value, list) else ""
    name = str(place[-1])
    most = _UNITS.get(name, _MOST_INTEGER)
    if name != "seed" and not abs(value) <= most and isinstance(value, int):
        return f"received {value}, expected at most {most}"
    return ""


def _shape_refusal(place: Place, value: list[Any]) -> str:
    if not place or not str(place[-1]).endswith("shape"):
        return ""
    numbers = prod(one for one in value if isinstance(one, int))
    if numbers > _MOST_ROW_NUMBERS:
        return f"is a shape of {numbers} numbers, expected at most {_MOST_ROW_NUMBERS}"
    return ""


def _class_refusal(value: dict[str, Any]) -> str:
    module, name, registered = value.get("module"), value["class_name"], value.get("registered_name")
    if name == "__keras_tensor__" and module is None:
        return ""
    if not isinstance(name, str) or not isinstance(module, str | None):
        return "names its class by another value than a text"
    if name in _CLASSES.get(module or "", ()) and registered in (None, name):
        return ""
    full = _short(f"{module}.{name}" if module else name)
    return (
        f"names the class {full}, which is not one of the layers of Keras that can be sent; a script with its own "
        "layers cannot be trained from its configuration"
    )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 64 else f"{text[:63]}…"
