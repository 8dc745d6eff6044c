"""Two engines that compute the epochs, both inside Keras's `fit`.

    plan.py         chooses the engine, XLA and the number of threads, and says why
    fused.py        runs many steps in one call of a compiled program, on data that is on the device
    blocks.py       the data of the fused engine: all of it on the device, or one block after the other
    programs.py     the compiled programs of the fused engine
    kept.py         compiled programs that earlier jobs stored
    kept_traces.py  traces that earlier jobs stored, from which programs are compiled
    stock.py        Keras's own training function, batch by batch
    replicas.py     the stock engine's training on several devices

Both engines feed the same batches to the same `train_step`, call the same callbacks, and can start inside an epoch.
"""

import logging
from typing import Protocol

import keras

from shared.events import Event
from shared.job import EnginePlan
from worker.ipc import kept_programs
from worker.training.callbacks import Callbacks
from worker.training.context import RunContext
from worker.training.data.rows import Data
from worker.training.engine.device import data_bytes
from worker.training.engine.fused import FusedEngine, missing_in_keras
from worker.training.engine.kept import store_compiled_programs
from worker.training.engine.kept_traces import forget_traces, name_traces
from worker.training.engine.plan import describe_engine
from worker.training.engine.stock import StockEngine
from worker.training.errors import TrainingStopped, first_line, is_out_of_memory
from worker.training.fit_settings import FitSettings

log = logging.getLogger(__name__)


class Engine(Protocol):
    """Runs `fit` on one model and its data."""

    def fit(self, callbacks: Callbacks, epochs: int) -> None:
        """Train from the run's position until a callback stops it or `epochs` (from 1) have finished."""


def prepare_engine(run: RunContext, model: keras.Model, data: Data, settings: FitSettings, plan: EnginePlan) -> Engine:
    """Compile the plan's engine, or the next simpler one if that fails, and report which engine it is.

    Later attempts of the job use the same engine. Raises what `compile_engine` raises.
    """
    traces = name_traces(run.record, model, data, plan)
    engine, kept = compile_engine(run, model, data, settings, plan, traces)
    run.attempt.job.keep_to(kept)
    run.events.write([describe_engine(kept)])
    run.writer.write(store_compiled_programs)
    if isinstance(engine, FusedEngine):
        run.writer.write(engine.store_traces)
    return engine


def compile_engine(  # noqa: PLR0913, PLR0917
    run: RunContext,
    model: keras.Model,
    data: Data,
    settings: FitSettings,
    plan: EnginePlan,
    traces: str | None = None,
) -> tuple[Engine, EnginePlan]:
    """Compile the plan's engine, or a simpler one; return it with its plan. The model's state does not change.

    `traces` is the name of the job's stored traces. After a failure with stored traces, they are removed and the model
    is traced again. Raises TrainingStopped, for a new attempt, after a failure with stored programs. Raises the error
    of a compilation that ran out of memory.
    """
    on_device = data_bytes(run.settings.device_data_bytes)
    while plan.engine == "fused":
        missing = missing_in_keras()
        if missing:
            plan = _simpler(run, plan, f"this Keras lacks {missing}")
            continue
        try:
            return FusedEngine(model, data, settings, plan, on_device, traces), plan
        except Exception as error:
            if is_out_of_memory(error):
                raise
            log.warning("the model could not be compiled%s", " with XLA" if plan.xla else "", exc_info=True)
            if plan.xla and kept_programs.give_up():
                message = f"restarts without the compiled programs of earlier jobs: {first_line(error)}"
                run.events.write([Event("engine", message, plan.model_dump(mode="json"), "warning")])
                raise TrainingStopped("restart") from error
            if traces:
                forget_traces(traces)
                traces = None
                continue
            plan = _simpler(run, plan, f"the model could not be compiled ({first_line(error)})")
    return StockEngine(model, data, settings, plan, on_device), plan


def _simpler(run: RunContext, plan: EnginePlan, because: str) -> EnginePlan:
    """Report and return the next simpler plan: the fused engine without XLA, then the stock engine."""
    change = {"xla": False} if plan.xla else {"engine": "stock"}
    simpler = plan.model_copy(update={**change, "reason": f"{plan.reason}; {because}"})
    message = f"continues with the {simpler.engine} engine without XLA: {because}"
    run.events.write([Event("engine", message, simpler.model_dump(mode="json"), "warning")])
    return simpler
