"""Which engine trains a job, and how: a rule of the model, the data and the machine, decided before the first epoch."""

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

# XLA's own compile costs about half a second more than TensorFlow's; it has paid after this number of small steps.
_STEPS_THAT_PAY_XLA = 4000
# A step with fewer float operations than this is over before a second thread has begun. Rewriting its graph on a CPU
# takes an eighth of the time until the first epoch's row, and makes no epoch faster.
_SMALL_STEP_OPERATIONS = 100_000_000
# Of what networks of a kind are made that decides how they are computed.
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


def decide(record: JobRecord, data: Data, earlier: EarlierModel | None = None) -> EnginePlan:
    """The plan of a job that has none yet: what its spec asks for, and the rule's choice where that says "auto".

    `earlier` is the model of an earlier job that it starts from.
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
    """The event that says how the job is computed."""
    threads = f"{plan.threads} thread{'' if plan.threads == 1 else 's'}"
    where = f", {plan.devices} devices" if plan.devices > 1 else ""
    message = f"{plan.engine} engine {'with' if plan.xla else 'without'} XLA, {threads}{where}: {plan.reason}"
    return Event("engine", message, plan.model_dump(mode="json"))


def _engine(asked: Hyperparameters) -> Literal["fused", "stock"]:
    """The fused engine's programs run on one device."""
    if asked.engine != "auto":
        return asked.engine
    return "fused" if asked.devices == 1 else "stock"


def _engine_reason(asked: Hyperparameters) -> str:
    if asked.devices > 1:
        return "it trains on several devices"
    return "all data is in arrays" if asked.engine == "auto" else "as requested"


def _validation_batch(model: ModelSpec, data: Data, batch_size: int) -> int:
    """As many rows as for training where it is not known what a row needs."""
    rows = len(data.validation)
    if isinstance(model, DenseSpec):
        return validation_batch(rows, batch_size, max(model.layers))
    if isinstance(model, CnnSpec):
        height, width, channels = data.train.x.shape[1:]
        return validation_batch(rows, batch_size, height * width * max(channels, model.filters[0]))
    return min(rows, batch_size)


def device() -> str:
    """What TensorFlow will compute on here. It is not asked: it reads its flags once, when it looks for devices.

    A driver shows its cards in /dev, one of WSL 2 all of them as /dev/dxg.
    """
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}
    has_card = any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()
    return "GPU" if has_card and not is_hidden and tf.test.is_built_with_cuda() else "CPU"


def _against_xla(spec: JobSpec, on: str, earlier: EarlierModel | None) -> str:
    """Why XLA is not chosen for what is computed; empty where nothing speaks against it.

    On a CPU its convolutions are many times slower than TensorFlow's own.
    """
    model, data = spec.model, spec.dataset
    if isinstance(data, ImagesSpec) and data.augment and data.augment.is_geometric:
        return "XLA does not compile the shift, rotation and zoom of images"
    if isinstance(model, EarlierJobSpec) and earlier is None:
        raise ValueError("the layers of an earlier job's model are not known")
    own = earlier.config if earlier else model.config if isinstance(model, KerasSpec) else None
    layers = _LAYERS.get(model.kind, set()) if own is None else layer_classes(own)
    return against_xla(layers, on)


def against_xla(layers: set[str], on: str, *, is_asked_for: bool = False) -> str:
    """What speaks against XLA for layers of these classes; empty where nothing does.

    `is_asked_for`: layers for which nothing was measured are compiled with it.
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
    """Why XLA would not pay for `steps` in all; empty where it would."""
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
    """How many epochs the job will hardly exceed by much: the spec's, or a few times the patience."""
    spec = record.data_spec
    return epochs_until_a_stop(spec.hyperparameters.epochs, spec.callbacks.early_stopping)


def epochs_until_a_stop(epochs: int, stopping: EarlyStoppingSpec | None) -> int:
    """The same of a number of epochs with early stopping; None for a run without."""
    return (
        epochs if stopping is None else min(epochs, stopping.start_from_epoch + _LIKELY_PATIENCES * stopping.patience)
    )


def _threads(record: JobRecord, batch_size: int) -> int:
    return 1 if _is_small_step(record, batch_size) else _cores()


def _is_small_step(record: JobRecord, batch_size: int) -> bool:
    """Whether a step is that of a small dense network; a convolution does more work than its parameters tell."""
    parameters = record.data_task.parameters
    if not isinstance(record.data_spec.model, DenseSpec) or parameters is None:
        return False
    return 6 * parameters * batch_size < _SMALL_STEP_OPERATIONS


def _cores() -> int:
    """Those that this process may use; all of them on a system that does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
