"""Decides before the first epoch which engine trains a job, with or without XLA, and with how many threads."""

import os
from math import ceil
from pathlib import Path
from typing import Literal

import tensorflow as tf

from shared.earlier_model import EarlierModel
from shared.events import Event
from shared.job import EnginePlan, JobRecord
from shared.keras_config import layer_classes
from shared.spec import (
    CnnSpec,
    DenseSpec,
    EarlierJobSpec,
    EarlyStoppingSpec,
    Hyperparameters,
    ImagesSpec,
    JobSpec,
    KerasSpec,
    ModelSpec,
)
from worker.training.data.rows import Data
from worker.training.order import validation_batch

# XLA takes about half a second longer to compile than TensorFlow. That pays off from this number of small steps.
_STEPS_THAT_PAY_XLA = 4000
# A step with fewer float operations has finished before a second thread starts. On a CPU, rewriting its graph takes an
# eighth of the time until the first epoch has finished, and makes no epoch faster.
_SMALL_STEP_OPERATIONS = 100_000_000
# For each kind of model without a configuration, the layers that decide whether XLA pays off.
_LAYERS = {"cnn": {"Conv2D"}, "application": {"Conv2D"}}
_FASTER_BY_XLA_ON_CPU = frozenset(
    {
        "Activation", "Add", "Average", "BatchNormalization", "Concatenate", "Dense", "Dropout", "ELU", "Flatten",
        "InputLayer", "LayerNormalization", "LeakyReLU", "Multiply", "Normalization", "ReLU", "Rescaling",
        "Reshape", "Softmax", "Subtract",
    }
)  # fmt: skip
# A stop is likely within this many times early stopping's patience.
_LIKELY_PATIENCES = 3


def decide_plan(record: JobRecord, data: Data, earlier: EarlierModel | None = None) -> EnginePlan:
    """The plan of a job that has none yet: what its spec requests, and this module's choice for "auto".

    `earlier`: the model of an earlier job that the job starts from, if any.
    """
    asked = record.data_spec.hyperparameters
    rows = len(data.train)
    batch_size = min(asked.batch_size, rows)
    steps = ceil(rows / batch_size)
    engine = _engine(asked)
    on = device()
    xla, why = _with_xla(record, steps, engine, on, earlier)
    return EnginePlan(
        engine=engine,
        xla=xla,
        threads=_threads(record, batch_size),
        rewrites_graphs=on == "GPU" or asked.devices > 1 or not _is_small_step(record, batch_size),
        validation_batch=_validation_batch(record.data_spec.model, data, batch_size),
        steps_per_epoch=steps,
        reason=f"{_engine_reason(asked)}; {why}",
        devices=asked.devices,
    )


def describe_engine(plan: EnginePlan) -> Event:
    """The event that reports how the job is computed."""
    threads = f"{plan.threads} thread{'' if plan.threads == 1 else 's'}"
    where = f", {plan.devices} devices" if plan.devices > 1 else ""
    message = f"{plan.engine} engine {'with' if plan.xla else 'without'} XLA, {threads}{where}: {plan.reason}"
    return Event("engine", message, plan.model_dump(mode="json"))


def _engine(asked: Hyperparameters) -> Literal["fused", "stock"]:
    """The requested engine; by default the fused engine, or the stock engine for several devices."""
    if asked.engine != "auto":
        return asked.engine
    return "fused" if asked.devices == 1 else "stock"


def _engine_reason(asked: Hyperparameters) -> str:
    if asked.devices > 1:
        return "it trains on several devices"
    return "all data is in arrays" if asked.engine == "auto" else "as requested"


def _validation_batch(model: ModelSpec, data: Data, batch_size: int) -> int:
    """Number of rows in a validation batch; the training batch size if a row's memory is unknown."""
    rows = len(data.validation)
    if isinstance(model, DenseSpec):
        return validation_batch(rows, batch_size, max(model.layers))
    if isinstance(model, CnnSpec):
        height, width, channels = data.train.x.shape[1:]
        return validation_batch(rows, batch_size, height * width * max(channels, model.filters[0]))
    return min(rows, batch_size)


def device() -> str:
    """`GPU` or `CPU`: what TensorFlow will compute on, without asking TensorFlow for its devices.

    That would make it read its flags, which it does only once. The driver's GPUs are files in /dev; in WSL 2 all of
    them are /dev/dxg.
    """
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}
    has_card = any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()
    return "GPU" if has_card and not is_hidden and tf.test.is_built_with_cuda() else "CPU"


def _against_xla(spec: JobSpec, on: str, earlier: EarlierModel | None) -> str:
    """Why the job's model and augmentation are not compiled with XLA; empty if they can be."""
    model, data = spec.model, spec.dataset
    if isinstance(data, ImagesSpec) and data.augment and data.augment.is_geometric:
        return "XLA does not compile the shift, rotation and zoom of images"
    if isinstance(model, EarlierJobSpec) and earlier is None:
        raise ValueError("the layers of an earlier job's model are not known")
    own = earlier.config if earlier else model.config if isinstance(model, KerasSpec) else None
    layers = _LAYERS.get(model.kind, set()) if own is None else layer_classes(own)
    return against_xla(layers, on)


def against_xla(layers: set[str], on: str, *, is_asked_for: bool = False) -> str:
    """Why layers of these classes are not compiled with XLA; empty if they can be.

    `on`: `GPU` or `CPU`. With `is_asked_for`, layers without a measurement on a CPU are accepted.
    """
    random = sorted(layer for layer in layers if layer.startswith("Random"))
    if random:
        return f"XLA does not compile {random[0]}"
    if on == "GPU":
        return ""
    if any("Conv" in layer for layer in layers):
        return "XLA makes convolutions many times slower on a CPU"
    unknown = [] if is_asked_for else sorted(layers - _FASTER_BY_XLA_ON_CPU)
    return f"XLA is not known to make {unknown[0]} faster on a CPU" if unknown else ""


def too_few_steps(steps: int) -> str:
    """Why compiling with XLA does not pay off in a run of `steps` steps; empty if it does."""
    return f"about {steps} steps are too few to repay its compilation" if steps < _STEPS_THAT_PAY_XLA else ""


def _with_xla(record: JobRecord, steps: int, engine: str, on: str, earlier: EarlierModel | None) -> tuple[bool, str]:
    asked = record.data_spec.hyperparameters.xla
    if asked != "auto":
        return asked, f"{'with' if asked else 'without'} XLA: as requested"
    if engine == "stock":
        return False, "without XLA: the stock engine compiles each batch size again"
    against = _against_xla(record.data_spec, on, earlier)
    if against:
        return False, f"without XLA: {against}"
    likely = steps * likely_epochs(record)
    few = too_few_steps(likely)
    if few:
        return False, f"without XLA: {few}"
    return True, f"with XLA: about {likely} steps repay its compilation"


def likely_epochs(record: JobRecord) -> int:
    """An estimate of how many epochs the job runs: the maximum, or a few times the patience if that is less."""
    spec = record.data_spec
    return epochs_until_a_stop(spec.hyperparameters.epochs, spec.callbacks.early_stopping)


def epochs_until_a_stop(epochs: int, stopping: EarlyStoppingSpec | None) -> int:
    """The estimate for a run of at most `epochs`; `stopping` is None without early stopping."""
    return (
        epochs if stopping is None else min(epochs, stopping.start_from_epoch + _LIKELY_PATIENCES * stopping.patience)
    )


def _threads(record: JobRecord, batch_size: int) -> int:
    return 1 if _is_small_step(record, batch_size) else _cores()


def _is_small_step(record: JobRecord, batch_size: int) -> bool:
    """Whether a step is that of a small dense network. A convolution computes more than its parameter count says."""
    parameters = record.data_task.parameters
    if not isinstance(record.data_spec.model, DenseSpec) or parameters is None:
        return False
    return 6 * parameters * batch_size < _SMALL_STEP_OPERATIONS


def _cores() -> int:
    """Number of CPU cores that this process may use; all cores if the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
