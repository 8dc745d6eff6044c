"""How the epochs are computed: two engines that Keras's `fit` calls.

    plan.py      which engine, with XLA or without, with how many threads, and why
    fused.py     many steps in one call of one compiled program, on data that lies on the device
    blocks.py    its data: all of it on the device, or block after block
    programs.py  its compiled programs
    kept.py      those that earlier jobs compiled
    kept_traces.py   what they are compiled from, as earlier jobs traced it
    stock.py     Keras's own training function, batch by batch

Both feed the same batches to the same `train_step`, call the same callbacks, and can start inside an epoch.
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
from worker.training.engine.kept import keep_compiled
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


def ready_engine(run: RunContext, model: keras.Model, data: Data, settings: FitSettings, plan: EnginePlan) -> Engine:
    """The engine of the plan, compiled, or the next simpler one, with an event.

    Later attempts of the job use the same. Raises what `compile_engine` raises.
    """
    traces = name_traces(run.record, model, data, plan)
    engine, kept = compile_engine(run, model, data, settings, plan, traces)
    run.attempt.job.keep_to(kept)
    run.events.write([describe_engine(kept)])
    run.writer.write(keep_compiled)
    if isinstance(engine, FusedEngine):
        run.writer.write(engine.keep)
    return engine


def compile_engine(  # noqa: PLR0913, PLR0917
    run: RunContext,
    model: keras.Model,
    data: Data,
    settings: FitSettings,
    plan: EnginePlan,
    traces: str | None = None,
) -> tuple[Engine, EnginePlan]:
    """The engine of the plan or a simpler one, and what it is. Compiling does not change the model's state.

    `traces` names the job's traces among those of earlier jobs; if they may be the cause of a failure, it traces again.
    Raises TrainingStopped if a program of an earlier job may be the cause.
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
                raise TrainingStopped("handed_back") from error
            if traces:
                forget_traces(traces)
                traces = None
                continue
            plan = _simpler(run, plan, f"the model could not be compiled ({first_line(error)})")
    return StockEngine(model, data, settings, plan, on_device), plan


def _simpler(run: RunContext, plan: EnginePlan, because: str) -> EnginePlan:
    """The fused engine without XLA, else the stock engine."""
    change = {"xla": False} if plan.xla else {"engine": "stock"}
    simpler = plan.model_copy(update={**change, "reason": f"{plan.reason}; {because}"})
    message = f"continues with the {simpler.engine} engine without XLA: {because}"
    run.events.write([Event("engine", message, simpler.model_dump(mode="json"), "warning")])
    return simpler
