"""Chooses the engine for a call of `fit` on arrays, from the model, the data and the callbacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import keras

from shared.job import EnginePlan
from shared.spec import EarlyStoppingSpec
from worker.training.data.rows import Data
from worker.training.engine.own_code import is_own
from worker.training.engine.plan import against_xla, device, epochs_until_a_stop, too_few_steps
from worker.training.fit_settings import FitSettings
from worker.training.program.arrays import has_texts
from worker.training.program.model_steps import ModelSteps
from worker.training.program.script_callbacks import uses_batches

# The methods that the fused engine replaces.
_REPLACED = ("make_train_function", "make_test_function", "get_metrics_result", "reset_metrics")


@dataclass(frozen=True)
class Asked:
    """What the engine of a call of `fit` depends on, besides the data.

    `validation_batch`: rows, as the script passes it. `stopping`: early stopping, in epochs of the job like `settings`.
    """

    model: keras.Model
    steps: ModelSteps
    settings: FitSettings
    validation_batch: int | None
    callbacks: Sequence[Any]
    stopping: EarlyStoppingSpec | None
    threads: int


def plan_of_call(asked: Asked, data: Data, on: str | None = None) -> EnginePlan:
    """The plan of a call of `fit`. `on`: `CPU` or `GPU`; by default, the device that TensorFlow will use."""
    settings = asked.settings
    against = _against_fused(asked.model, data, asked.callbacks)
    steps = ceil(len(data.train) / min(settings.batch_size, len(data.train)))
    total = steps * (epochs_until_a_stop(settings.epochs, asked.stopping) - settings.first_epoch)
    xla, why = (False, "the stock engine compiles each batch size again")
    if not against:
        xla, why = _with_xla(asked, total, on or device())
    return EnginePlan(
        engine="stock" if against else "fused",
        xla=xla,
        threads=asked.threads,
        validation_batch=max(1, min(int(asked.validation_batch or settings.batch_size), len(data.validation))),
        steps_per_epoch=steps,
        reason=f"{against or 'all data is in arrays'}; {'with' if xla else 'without'} XLA: {why}",
    )


def _against_fused(model: keras.Model, data: Data, callbacks: Sequence[Any]) -> str:
    """Why the fused engine cannot train the model; empty if it can."""
    if model.run_eagerly:
        return "the model runs eagerly"
    if has_texts(data):
        return "the data contains text"
    for method in _REPLACED:
        if is_own(model, method):
            return f"the model has its own {method}"
    acting = [type(one).__name__ for one in callbacks if uses_batches(one)]
    return f"{acting[0]} acts after each batch" if acting else ""


def _with_xla(asked: Asked, total_steps: int, on: str) -> tuple[bool, str]:
    """Whether to use XLA, and why: if Keras would, and the rule of other jobs does not forbid it.

    Keras uses XLA on a GPU, and on a CPU if the script requests it. On a CPU the log must equal that of the script
    without Fitstop bit for bit.
    """
    model = asked.model
    if not model.jit_compile:
        return False, "the script compiles its model without jit_compile"
    layers = {type(layer).__name__ for layer in model._flatten_layers() if type(layer).__module__.startswith("keras.")}
    against = against_xla(layers | {one for one in asked.steps.operations if "Conv" in one}, on, is_asked_for=True)
    if not against and on == "GPU":
        against = too_few_steps(total_steps)
    return (False, against) if against else (True, "jit_compile of the script's model")
