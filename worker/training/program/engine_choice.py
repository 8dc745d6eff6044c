"""Which engine trains a call of `fit` on arrays, and how: a rule of the model, the data and the callbacks."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import keras

from shared.job import EnginePlan
from worker.training.data.rows import Data
from worker.training.fit_settings import FitSettings
from worker.training.program.arrays import has_texts
from worker.training.program.script_callbacks import uses_batches


def plan_of_call(  # noqa: PLR0913, PLR0917  all that decides
    model: keras.Model,
    data: Data,
    settings: FitSettings,
    validation_batch: int | None,
    callbacks: Sequence[Any],
    threads: int,
) -> EnginePlan:
    """The plan of a call of `fit`; `validation_batch` is the script's, in rows."""
    against = _against_fused(model, data, callbacks)
    validated = int(validation_batch or settings.batch_size)
    return EnginePlan(
        engine="stock" if against else "fused",
        xla=False,
        threads=threads,
        validation_batch=max(1, min(validated, len(data.validation))),
        steps_per_epoch=ceil(len(data.train) / min(settings.batch_size, len(data.train))),
        reason=against or "all data is in arrays",
    )


def _against_fused(model: keras.Model, data: Data, callbacks: Sequence[Any]) -> str:
    """Why many steps cannot be one call; empty where they can."""
    if model.run_eagerly:
        return "the model runs eagerly"
    if has_texts(data):
        return "the data holds texts"
    for method in ("train_step", "test_step", "make_train_function", "get_metrics_result"):
        if not getattr(type(model), method).__module__.startswith("keras."):
            return f"the model has a {method} of its own"
    acting = [type(one).__name__ for one in callbacks if uses_batches(one)]
    return f"{acting[0]} acts after each batch" if acting else ""
