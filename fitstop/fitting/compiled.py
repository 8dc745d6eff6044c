"""Translates the optimizer, the loss and the metrics of a compiled model into fields of the spec."""

import inspect
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fitstop.client import Json
from fitstop.fitting.problems import Problems
from fitstop.metric_names import Names, equivalent_metric

OPTIMIZERS = frozenset({"adam", "adamw", "nadam", "adamax", "sgd", "rmsprop", "adagrad", "adadelta", "lion"})
LOSSES = frozenset(
    {
        "binary_crossentropy", "binary_focal_crossentropy", "sparse_categorical_crossentropy",
        "categorical_crossentropy", "categorical_focal_crossentropy", "mean_squared_error", "mean_absolute_error",
        "mean_absolute_percentage_error", "mean_squared_logarithmic_error", "huber", "log_cosh", "poisson",
    }
)  # fmt: skip
_SHORT_LOSSES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "logcosh": "log_cosh",
}
# The arguments of a loss that can be sent, with their defaults. Other arguments must have Keras's default.
_LOSS_ARGUMENTS = {"from_logits": False, "label_smoothing": 0.0, "gamma": 2.0, "alpha": 0.25, "delta": 1.0}
_LOSS_FIXED = {"reduction": "sum_over_batch_size", "axis": -1}
_OPTIMIZER_ARGUMENTS = frozenset(
    {
        "momentum", "nesterov", "beta_1", "beta_2", "rho", "epsilon", "amsgrad", "centered",
        "initial_accumulator_value", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm",
    }
)  # fmt: skip
# The configuration with which a metric of Keras computes the same as Fitstop's.
_METRIC_FIXED: dict[str, dict[str, Any]] = {
    "accuracy": {"threshold": 0.5},
    "auc": {"num_thresholds": 200, "curve": "ROC", "summation_method": "interpolation"},
    "f1": {"average": "micro", "threshold": 0.5},
    "top_5_accuracy": {"k": 5},
    "r2": {"class_aggregation": "uniform_average", "num_regressors": 0},
}
_OF_EVERY_OBJECT = frozenset({"name", "dtype", "fn"})


@dataclass(frozen=True)
class Compiled:
    """The `hyperparameters` that the compiled model decides, and the names of its metrics."""

    hyperparameters: Json = field(default_factory=dict)
    names: Names = field(default_factory=lambda: Names({"loss": "loss"}))


def read_compiled(model: Any, problems: Problems) -> Compiled:
    """Read the arguments of `compile`. Those that cannot be sent are added to `problems`."""
    config = model.get_compile_config() if getattr(model, "compiled", False) else None
    if not config:
        problems.add("the model is not compiled; call model.compile() first")
        return Compiled()
    for name, what in (("loss_weights", "loss weights"), ("weighted_metrics", "weighted metrics")):
        if config.get(name):
            problems.add(f"the model was compiled with {what} ({name})")
    optimizer, rate = _optimizer(model.optimizer, problems)
    names = _metrics(config.get("metrics"), problems)
    precision = getattr(getattr(model, "dtype_policy", None), "name", "float32")
    hyperparameters = {
        "optimizer": optimizer,
        "learning_rate": rate,
        "loss": _loss(config.get("loss"), getattr(model, "loss", None), problems),
        "metrics": list(dict.fromkeys(own for own in names.pairs.values() if own != "loss")),
        "precision": precision if precision in {"mixed_float16", "mixed_bfloat16"} else "float32",
    }
    return Compiled(hyperparameters, names)


def _optimizer(optimizer: Any, problems: Problems) -> tuple[str | Json, float | None]:
    # Mixed precision wraps the user's optimizer.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    name = type(optimizer).__name__
    if name.lower() not in OPTIMIZERS or not is_of_keras(type(optimizer).__module__):
        problems.add(f"the optimizer {name} is not one of {', '.join(sorted(OPTIMIZERS))}")
        return name, None
    config = optimizer.get_config()
    defaults = {key: one.default for key, one in inspect.signature(type(optimizer).__init__).parameters.items()}
    rate = config.get("learning_rate")
    if not isinstance(rate, int | float):
        schedule = rate.get("class_name") if isinstance(rate, dict) else type(rate).__name__
        problems.add(f"the learning rate is a schedule ({schedule}), expected a number")
    given = {
        key: value
        for key, value in config.items()
        if key not in {"name", "learning_rate"} and value is not None and value != defaults.get(key, value)
    }
    for key in sorted(given.keys() - _OPTIMIZER_ARGUMENTS):
        problems.add(f"the optimizer {name} was given {key}={given[key]!r}")
    short = name.lower()
    return ({"name": short, **given} if given else short), short_float(rate) if isinstance(rate, int | float) else None


def short_float(value: float) -> float:
    """The shortest decimal with the same float32 value: 0.001 for 0.0010000000474974513."""
    wanted = struct.pack("f", value)
    shorter = (float(f"{value:.{digits}g}") for digits in range(1, 10))
    return next((one for one in shorter if struct.pack("f", one) == wanted), value)


def _loss(loss: Any, given_object: Any, problems: Problems) -> str | Json:
    if isinstance(loss, list | tuple | dict) and not _is_object(loss):
        if len(loss) != 1:
            problems.add(f"the model was compiled with {len(loss)} losses; models with one output can be sent")
            return "auto"
        (loss,) = loss.values() if isinstance(loss, dict) else loss
    name, config, is_own = _named(loss)
    known = _SHORT_LOSSES.get(name.lower(), _snake(name))
    if is_own or known not in LOSSES:
        problems.add(f"the loss {name} is not one of Keras's that can be sent: {', '.join(sorted(LOSSES))}")
        return "auto"
    # Keras leaves the delta of Huber's loss out of its configuration (a test pins the private name).
    config = {**getattr(given_object, "_fn_kwargs", {}), **config}
    for key, value in config.items():
        if key in _LOSS_ARGUMENTS.keys() | _OF_EVERY_OBJECT or value in (None, False, _LOSS_FIXED.get(key)):
            continue
        problems.add(f"the loss {name} was given {key}={value!r}")
    given = {key: value for key, value in config.items() if value != _LOSS_ARGUMENTS.get(key, value)}
    return {"name": known, **given} if given else known


def _metrics(metrics: Any, problems: Problems) -> Names:
    pairs = {"loss": "loss"}
    for metric in _flat(metrics):
        name, config, is_own = _named(metric)
        known = None if is_own else equivalent_metric(name)
        if known is None:
            problems.add(f"the metric {name} is not available in Fitstop: accuracy, precision, recall, AUC, F1Score, …")
            continue
        fixed = _METRIC_FIXED.get(known, {})
        for key, value in config.items():
            if key not in _OF_EVERY_OBJECT and value not in (None, False, fixed.get(key)):
                problems.add(f"the metric {name} was given {key}={value!r}")
        pairs[str(config.get("name") or name)] = known
    return Names(pairs)


def _flat(metrics: Any) -> Iterable[Any]:
    """Yield the metrics of a model with one output, in whatever structure they were passed."""
    if metrics is None:
        return
    if _is_object(metrics) or isinstance(metrics, str):
        yield metrics
        return
    for one in metrics.values() if isinstance(metrics, dict) else metrics:
        yield from _flat(one)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and "class_name" in value


def _named(value: Any) -> tuple[str, Json, bool]:
    """The name and the configuration of a loss or a metric as Keras serializes it, and whether it is the user's own."""
    if isinstance(value, str):
        return value, {}, False
    if not _is_object(value):
        return type(value).__name__, {}, True
    name, config = str(value["class_name"]), value.get("config")
    if name == "function":
        return str(config), {}, False
    if name == "__lambda__":
        return "(a lambda)", {}, True
    is_own = not is_of_keras(str(value.get("module")))
    return name, config if isinstance(config, dict) and not is_own else {}, is_own


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def is_of_keras(module: str) -> bool:
    """Whether a class's module is one of Keras 3."""
    return module == "keras" or module.startswith("keras.")
