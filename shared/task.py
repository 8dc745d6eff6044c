"""The task of a job, which its target decides, the losses and metrics that fit, and the names in its logs."""

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from shared.dataset import Column
from shared.spec import Loss, Metric

TaskKind = Literal["binary", "multiclass", "regression"]

# A target of whole numbers with more values than this is a quantity, not a class.
MOST_INFERRED_CLASSES = 20
MOST_CLASSES = 1000
# A column with more categories than this is probably an id, and is refused for one-hot encoding.
MOST_CATEGORIES = 1000

LOSSES: dict[TaskKind, tuple[Loss, ...]] = {
    "binary": ("binary_crossentropy", "binary_focal_crossentropy"),
    "multiclass": (
        "sparse_categorical_crossentropy",
        "categorical_crossentropy",
        "categorical_focal_crossentropy",
    ),
    "regression": (
        "mean_squared_error",
        "mean_absolute_error",
        "huber",
        "log_cosh",
        "mean_absolute_percentage_error",
        "mean_squared_logarithmic_error",
        "poisson",
    ),
}
# These take class numbers. All other losses take the shares of two classes, which mixup makes.
_CLASS_NUMBER_LOSSES = frozenset({"sparse_categorical_crossentropy"})
METRICS: dict[TaskKind, tuple[Metric, ...]] = {
    "binary": ("accuracy", "precision", "recall", "auc", "f1"),
    "multiclass": ("accuracy", "top_5_accuracy"),
    "regression": ("mae", "mse", "rmse", "r2"),
}
DEFAULT_METRICS: dict[TaskKind, tuple[Metric, ...]] = {
    "binary": ("accuracy", "precision", "recall"),
    "multiclass": ("accuracy",),
    "regression": ("mae",),
}
_BETWEEN_0_AND_1 = frozenset({"accuracy", "precision", "recall", "auc", "f1", "top_5_accuracy"})
_GREATER_IS_BETTER = _BETWEEN_0_AND_1 | {"r2"}


class Task(BaseModel):
    """Learning task of the model.

    `classes` are the target's values in the order of the model's outputs (a binary target without `positive`: the
    negative one first); None for a regression, with `positive`, or if there are too many to list. `features` counts the
    numbers in one row of the model's inputs, `parameters` the model's weights. Both are computed before the model is
    built. `parameters` is None for the kinds `application`, `keras` and `job`, whose weights are counted after that.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    kind: TaskKind
    classes: tuple[int | float | bool | str, ...] | None
    features: int
    parameters: int | None
    log_names: tuple[str, ...]


def task_of_loss(loss: Loss) -> TaskKind | None:
    """The task that a loss belongs to; None for "auto"."""
    return next((kind for kind, losses in LOSSES.items() if loss in losses), None)


def losses_of(kind: TaskKind, *, is_mixed: bool = False) -> tuple[Loss, ...]:
    """The losses of a task, the default first; with `is_mixed` only those that take the shares of two classes."""
    return tuple(loss for loss in LOSSES[kind] if not (is_mixed and loss in _CLASS_NUMBER_LOSSES))


def task_of_column(target: Column) -> TaskKind:
    """The default task of a target column: two values, texts or few whole numbers are classes, else a quantity."""
    if target.distinct == 2:
        return "binary"
    if target.kind in {"text", "boolean"}:
        return "multiclass"
    whole = target.values is not None and all(float(one.value).is_integer() for one in target.values)
    return "multiclass" if whole and target.distinct <= MOST_INFERRED_CLASSES else "regression"


def log_names(metrics: tuple[Metric, ...]) -> tuple[str, ...]:
    """The names in the logs of each epoch: the loss and the metrics, for training and for validation."""
    own = ("loss", *metrics)
    return (*own, *(f"val_{name}" for name in own))


def better_mode(monitor: str) -> Literal["min", "max"]:
    """Whether a smaller or a greater value of the monitor is better. Raises ValueError if it is not a log name."""
    base = monitor.removeprefix("val_")
    if base not in ("loss", *get_args(Metric)):
        raise ValueError(f"{monitor} is not a column of the training log")
    return "max" if base in _GREATER_IS_BETTER else "min"


def is_between_0_and_1(monitor: str) -> bool:
    """Whether the monitor is always between 0 and 1, for any data."""
    return monitor.removeprefix("val_") in _BETWEEN_0_AND_1
