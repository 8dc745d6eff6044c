"""Checks of arrays: the task of the target, the shapes of the inputs, and the training and validation part."""

from math import prod

from shared.dataset import ArrayProfile, DatasetInfo
from shared.findings import Findings
from shared.resolve.judged import JudgedData, asked_kind
from shared.resolve.split import judge_split
from shared.spec import ArraysSpec, JobSpec
from shared.task import MOST_CLASSES, TaskKind

# Losses of a one-hot target, which has a column for each class.
_ONE_HOT = ("categorical_crossentropy", "categorical_focal_crossentropy")
_WHOLE = ("bool", "int", "uint")


def judge_arrays(asked: JobSpec, spec: ArraysSpec, data: DatasetInfo, found: Findings) -> JudgedData:
    """Report every problem of the arrays and of their part of the spec."""
    target = data.array("target")
    assert target is not None
    inputs = {one.name: one.shape[1:] for one in data.arrays if one.role == "input" and one.part == "training"}
    kind = _kind(asked, target, found)
    outputs = _outputs(target, kind)
    return JudgedData(
        spec=spec,
        kind=kind,
        classes=tuple(range(outputs)) if kind == "multiclass" else (0, 1) if kind == "binary" else None,
        outputs=outputs,
        inputs=inputs,
        features=sum(prod(shape) for shape in inputs.values()),
        training_rows=_judge_parts(spec, data, target, found),
    )


def _kind(asked: JobSpec, target: ArrayProfile, found: Findings) -> TaskKind | None:
    kind = asked_kind(asked, found)
    if kind is None and found.is_sure("hyperparameters/loss"):
        kind = _own_kind(target)
    refusal = None if kind is None else _refusal(target, kind, asked.hyperparameters.loss_name)
    if refusal:
        place = ("hyperparameters", "loss") if asked.hyperparameters.loss_name != "auto" else ("dataset", "id")
        found.problem(place, refusal, "loss_does_not_fit")
        return None
    return kind


def _own_kind(target: ArrayProfile) -> TaskKind:
    """The default task of the target: whole numbers from 0 are classes, everything else is a quantity."""
    if not target.dtype.startswith(_WHOLE) or _width(target) > 1 or (target.minimum or 0) < 0:
        return "regression"
    highest = int(target.maximum or 0)
    if highest <= 1:
        return "binary"
    return "multiclass" if highest < MOST_CLASSES else "regression"


def _refusal(target: ArrayProfile, kind: TaskKind, loss: str) -> str:
    """Why the target does not fit the task; empty if it does."""
    low, high, width = target.minimum or 0.0, target.maximum or 0.0, _width(target)
    shape = f"y of shape {target.shape}"
    if len(target.shape) > 2:
        return f"{shape}; expected (rows,), or (rows, outputs)"
    if kind == "regression":
        return ""
    if kind == "binary":
        fits = width == 1 and low >= 0 and high <= 1
        return "" if fits else f"two classes are 0 and 1 in y of shape (rows,); {shape} holds {low:g} to {high:g}"
    if width > 1:
        fits = loss in _ONE_HOT and low >= 0 and high <= 1
        return "" if fits else f'{shape} holds more than class numbers; one-hot rows take "{_ONE_HOT[0]}"'
    is_whole = target.dtype.startswith(_WHOLE)
    fits = is_whole and low >= 0 and high < MOST_CLASSES
    if fits:
        return ""
    return f"classes are whole numbers from 0 to {MOST_CLASSES - 1}; y is {target.dtype} from {low:g} to {high:g}"


def _outputs(target: ArrayProfile, kind: TaskKind | None) -> int:
    if kind == "multiclass" and _width(target) == 1:
        return int(target.maximum or 0) + 1
    return _width(target)


def _width(target: ArrayProfile) -> int:
    """The number of values in a row of the target."""
    return prod(target.shape[1:])


def _judge_parts(spec: ArraysSpec, data: DatasetInfo, target: ArrayProfile, found: Findings) -> int:
    rows = target.shape[0]
    has_validation = data.array("target", "validation") is not None
    class_rows = None if target.values is None else [one.rows for one in target.values]
    is_split = not has_validation or spec.test_fraction is not None
    if is_split and spec.stratify and class_rows is None:
        detail = "received true; y has no listed classes to stratify by"
        found.problem(("dataset", "stratify"), detail, "not_classes")
    return judge_split(spec, rows, class_rows, found, has_validation=has_validation)
