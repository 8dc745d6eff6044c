"""Reads the data arguments of `model.fit` (x, y, sample weights, validation data) as named arrays."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fitstop.fitting.problems import Problems

if TYPE_CHECKING:
    from fitstop.fitting.npz import Array

TARGET, WEIGHTS, SUFFIX = "y", "sample_weight", "_validation"
_ONLY_INPUT = "x"
_INPUT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_NO_VALIDATION = "there is no validation data; give validation_data=(x, y) or validation_split=0.2"


@dataclass(frozen=True)
class Rows:
    """The training or the validation rows: inputs by name, targets, and sample weights if there are any."""

    inputs: Mapping[str, "Array"]
    target: "Array"
    weights: "Array | None" = None

    def __len__(self) -> int:
        return len(self.target)

    def part(self, start: int, end: int) -> "Rows":
        """The rows from `start` to `end - 1`, as views of the same memory."""
        inputs = {name: one[start:end] for name, one in self.inputs.items()}
        weights = None if self.weights is None else self.weights[start:end]
        return Rows(inputs, self.target[start:end], weights)

    def by_name(self) -> dict[str, "Array"]:
        """The arrays by their names in a dataset."""
        weights = {} if self.weights is None else {WEIGHTS: self.weights}
        return {**self.inputs, TARGET: self.target, **weights}


@dataclass(frozen=True)
class FitData:
    """The data arguments of `fit`, as they were passed."""

    x: Any
    y: Any
    validation_data: Any = None
    validation_split: float = 0.0
    sample_weight: Any = None
    class_weight: Mapping[int, float] | None = None
    input_names: Sequence[str] = field(default=(_ONLY_INPUT,))


def read_arrays(data: FitData, problems: Problems) -> dict[str, "Array"]:
    """The arrays of both parts by their names in a dataset; empty if something cannot be sent."""
    training = _rows(data.x, data.y, data.sample_weight, data.input_names, problems)
    if training is None:
        return {}
    if data.validation_data is not None:
        validation = _validation(data, problems)
    else:
        training, validation = _split(training, data.validation_split, problems)
    if validation is None:
        return {}
    arrays = _with_class_weight(training, data, problems).by_name()
    alike = {name: _as_in_training(one, arrays.get(name)) for name, one in validation.by_name().items()}
    return {**arrays, **{f"{name}{SUFFIX}": one for name, one in alike.items()}}


def _as_in_training(array: "Array", training: "Array | None") -> "Array":
    """Convert a validation array to the shape and type of its training array, as a dataset requires.

    Like Keras, add or remove a last dimension of 1. The type is converted only if no integer changes.
    """
    import numpy as np

    if training is None:
        return array
    own, wanted = array.shape[1:], training.shape[1:]
    if wanted == (*own, 1) or own == (*wanted, 1):
        array = array.reshape(len(array), *wanted)
    if array.dtype == training.dtype or not np.can_cast(array.dtype, training.dtype, "same_kind"):
        return array
    converted = array.astype(training.dtype)
    return converted if array.dtype.kind == "f" or np.array_equal(converted, array) else array


def _validation(data: FitData, problems: Problems) -> Rows | None:
    given = data.validation_data
    if not isinstance(given, tuple | list) or len(given) not in {2, 3}:
        problems.add(f"validation_data is {_kind_of(given)}, expected a tuple (x, y) of arrays")
        return None
    x, y, *weights = given
    return _rows(x, y, weights[0] if weights else None, data.input_names, problems, "validation_data: ")


def _split(rows: Rows, fraction: float, problems: Problems) -> tuple[Rows, Rows | None]:
    """Split off the last rows for validation, as Keras does."""
    cut = int(len(rows) * (1 - fraction))
    if not 0 < cut < len(rows):
        problems.add(_NO_VALIDATION if not fraction else f"validation_split={fraction} leaves a part without rows")
        return rows, None
    return rows.part(0, cut), rows.part(cut, len(rows))


def _rows(  # noqa: PLR0913, PLR0917  the three arrays of a part, and how to read and report them
    x: Any, y: Any, weights: Any, names: Sequence[str], problems: Problems, where: str = ""
) -> Rows | None:
    inputs = {name: _array(one, f"{where}{name}", problems) for name, one in _inputs(x, names, problems, where)}
    target = _array(y, f"{where}y", problems)
    weight = None if weights is None else _array(weights, f"{where}sample_weight", problems)
    known = {name: one for name, one in inputs.items() if one is not None}
    if target is None or not known or len(known) < len(inputs) or (weights is not None and weight is None):
        return None
    lengths = {name: len(one) for name, one in {**known, "y": target}.items()}
    if len(set(lengths.values())) > 1:
        problems.add(f"{where}the arrays have different numbers of rows: {lengths}")
        return None
    return Rows(known, target, weight)


def _inputs(x: Any, names: Sequence[str], problems: Problems, where: str) -> list[tuple[str, Any]]:
    """Each input with its name: `x` if there is only one, else the model's own names."""
    if len(names) == 1:
        only = next(iter(x.values())) if isinstance(x, dict) and len(x) == 1 else x
        return [(_ONLY_INPUT, only)]
    for name in names:
        if not _INPUT_NAME.fullmatch(name) or name in {TARGET, WEIGHTS} or name.endswith(SUFFIX):
            problems.add(f'the input "{name}" of the model needs another name for a dataset of arrays')
    if isinstance(x, dict) and set(x) == set(names):
        return [(name, x[name]) for name in names]
    if isinstance(x, list | tuple) and len(x) == len(names):
        return list(zip(names, x, strict=True))
    problems.add(f"{where}x is {_kind_of(x)}; the model has the inputs {', '.join(names)}")
    return []


def _array(value: Any, name: str, problems: Problems) -> "Array | None":
    """The value as an array, without a copy; None, with a problem, if it is not an array of numbers."""
    import numpy as np

    is_data = hasattr(value, "__array__") or isinstance(value, list | tuple)
    if not is_data:
        problems.add(f"{name} is {_kind_of(value)}, expected an array")
        return None
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        problems.add(f"{name} is {_kind_of(value)} that cannot be converted to an array")
        return None
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        problems.add(f"{name} is an array of {array.dtype} with {array.ndim} dimensions, expected rows of numbers")
        return None
    return array


def _with_class_weight(rows: Rows, data: FitData, problems: Problems) -> Rows:
    """Turn class weights into sample weights, as Keras does."""
    if data.class_weight is None:
        return rows
    import numpy as np

    if rows.weights is not None:
        problems.add("both class_weight and sample_weight are given; Keras takes one of them")
        return rows
    target = rows.target
    classes = target.argmax(axis=1) if target.ndim == 2 and target.shape[1] > 1 else target.ravel()
    weights = np.ones(len(classes), np.float32)
    for number, weight in data.class_weight.items():
        weights[classes == number] = weight
    return Rows(rows.inputs, target, weights)


def _kind_of(value: Any) -> str:
    kind = type(value)
    if value is None:
        return "missing"
    if kind.__module__.startswith("tensorflow.python.data"):
        return "a tf.data dataset"
    if any(one.__name__ == "PyDataset" for one in kind.__mro__):
        return f"a PyDataset ({kind.__name__})"
    return f"of the type {kind.__name__}"
