"""Checks of a model: whether it takes the shape of the data, and its number of parameters."""

import json
from collections.abc import Mapping
from itertools import pairwise

from shared.findings import Findings
from shared.keras_config import check_config, input_shapes
from shared.resolve.judged import JudgedData
from shared.spec import MOST_PARAMETERS, ApplicationSpec, CnnSpec, DenseSpec, EarlierJobSpec, KerasSpec, ModelSpec

# Keras builds none of its applications for smaller images; the last blocks of Xception need larger ones.
_SMALLEST_SIDE = 32
_SMALLEST_XCEPTION = 71


def judge_model(model: ModelSpec, data: JudgedData, found: Findings) -> int | None:
    """Report problems of the model, and return its number of parameters; None if only the build shows it."""
    if isinstance(model, EarlierJobSpec):
        return None  # checked in `judge_earlier`
    if isinstance(model, KerasSpec):
        _judge_keras(model, data, found)
        return None
    if data.inputs and not _takes_shape(model, data, found):
        return None
    if isinstance(model, ApplicationSpec):
        if model.trainable != "all" and model.weights is None and found.is_sure("model/weights"):
            detail = f"received {json.dumps(model.trainable)}: layers with random weights would never be trained; "
            found.problem(("model", "trainable"), detail + 'give their `weights`, or "all"', "untrained_layers")
        return None
    place = "layers" if isinstance(model, DenseSpec) else "filters"
    if not found.is_sure(f"model/{place}", "model/batch_normalization", "model/dense"):
        return 0
    count = _count_dense(model, data) if isinstance(model, DenseSpec) else _count_cnn(model, data)
    if count > MOST_PARAMETERS:
        of = f" of {data.features or 1} features" if isinstance(model, DenseSpec) else ""
        detail = f"makes {count} parameters{of}, expected at most {MOST_PARAMETERS}"
        found.problem(("model", place), detail, "too_many_parameters")
    return count


def _takes_shape(model: DenseSpec | CnnSpec | ApplicationSpec, data: JudgedData, found: Findings) -> bool:
    """Whether the model takes the data's inputs; reports a problem if not."""
    shape = data.only_input
    if shape is None:
        names = ", ".join(data.inputs)
        detail = f'received "{model.kind}", which takes one input; the data has {names}: send a Keras model'
        found.problem(("model", "kind"), detail, "wrong_shape")
        return False
    refusal = _shape_refusal(model, shape)
    if refusal:
        detail = f'received "{model.kind}", {refusal}; a row of the data has the shape {shape}'
        found.problem(("model", "kind"), detail, "wrong_shape")
    return not refusal


def _shape_refusal(model: DenseSpec | CnnSpec | ApplicationSpec, shape: tuple[int, ...]) -> str:
    if isinstance(model, DenseSpec):
        return "" if len(shape) == 1 else 'which takes rows of numbers; "cnn" takes images'
    if len(shape) != 3:
        return "which takes images of (height, width, channels)"
    smallest = min(shape[:2])
    if isinstance(model, CnnSpec):
        least = 2 ** len(model.filters)
        return "" if smallest >= least else f"whose {len(model.filters)} blocks need images of at least {least} pixels"
    if shape[2] != 3:
        return "which takes images of 3 channels"
    least = _SMALLEST_XCEPTION if model.name == "Xception" else _SMALLEST_SIDE
    return "" if smallest >= least else f"where {model.name} needs images of at least {least} pixels"


def _count_dense(model: DenseSpec, data: JudgedData) -> int:
    """The number of parameters; the minimum if the width of the input is unknown."""
    widths = [data.features or 1, *model.layers, data.outputs or 1]
    count = sum((before + 1) * after for before, after in pairwise(widths))
    # gamma, beta, moving mean, moving variance
    return count + (4 * sum(model.layers) if model.batch_normalization else 0)


def _count_cnn(model: CnnSpec, data: JudgedData) -> int:
    shape = data.only_input
    channels = [shape[-1] if shape else 1, *model.filters]
    each = model.kernel_size**2
    # Batch normalization replaces the bias: four numbers for each filter instead of one.
    beside = 4 if model.batch_normalization else 1
    count = sum(each * before * after + beside * after for before, after in pairwise(channels))
    widths = [model.filters[-1], *model.dense, data.outputs or 1]
    return count + sum((before + 1) * after for before, after in pairwise(widths))


def _judge_keras(model: KerasSpec, data: JudgedData, found: Findings) -> None:
    if not found.is_sure("model/config"):
        return
    problems = check_config(model.config)
    for problem in problems:
        found.problem(("model", "config", *problem.place), problem.detail, problem.code)
    if problems or not data.inputs:
        return
    for detail in mismatches(input_shapes(model.config), data.inputs):
        found.problem(("model", "config"), detail, "wrong_shape")


def mismatches(shapes: Mapping[str, tuple[int | None, ...]], inputs: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The inputs of the model that do not fit those of the data. The name of a single input does not matter."""
    if len(shapes) == 1 and len(inputs) == 1:
        pairs = {"its input": (next(iter(shapes.values())), next(iter(inputs.values())))}
    elif set(shapes) != set(inputs):
        return [f"has the inputs {', '.join(shapes)}; the data has {', '.join(inputs)}"]
    else:
        pairs = {f'its input "{name}"': (shape, inputs[name]) for name, shape in shapes.items()}
    return [
        f"{name} takes rows of shape {shape}; those of the data have {found}"
        for name, (shape, found) in pairs.items()
        if not _fits(shape, found)
    ]


def _fits(shape: tuple[int | None, ...], found: tuple[int, ...]) -> bool:
    return len(shape) == len(found) and all(one in (None, other) for one, other in zip(shape, found, strict=True))
