"""Which engine trains a job, and how: a rule of the model, the data and the machine, decided before the first epoch."""

import os
from math import ceil

from shared.events import Event
from shared.job import EnginePlan, JobRecord
from worker.training.data.table import Data
from worker.training.engine.order import validation_batch

# XLA's own compile costs about half a second more than TensorFlow's; it has paid after this number of small steps.
_STEPS_THAT_PAY_XLA = 4000
# A step with fewer float operations than this is over before a second thread has begun.
_SMALL_STEP_OPERATIONS = 100_000_000
# A stop is likely within this many times early stopping's patience.
_LIKELY_PATIENCES = 3


def decide(record: JobRecord, data: Data) -> EnginePlan:
    """The plan of a job that has none yet: what its spec asks for, and the rule's choice where that says "auto"."""
    asked = record.spec.hyperparameters
    rows = len(data.train_x)
    batch_size = min(asked.batch_size, rows)
    steps = ceil(rows / batch_size)
    engine = "fused" if asked.engine == "auto" else asked.engine
    xla, why = _with_xla(record, steps, engine)
    return EnginePlan(
        engine=engine,
        xla=xla,
        threads=_threads(record, batch_size),
        validation_batch=validation_batch(len(data.validation_x), batch_size, max(record.spec.model.layers)),
        steps_per_epoch=steps,
        reason=f"{_engine_reason(asked.engine)}; {why}",
    )


def describe_engine(plan: EnginePlan) -> Event:
    """The event that says how the job is computed."""
    threads = f"{plan.threads} thread{'' if plan.threads == 1 else 's'}"
    message = f"{plan.engine} engine {'with' if plan.xla else 'without'} XLA, {threads}: {plan.reason}"
    return Event("engine", message, plan.model_dump(mode="json"))


def _engine_reason(asked: str) -> str:
    return "fused: a dense network on arrays" if asked == "auto" else f"{asked}: asked for"


def _with_xla(record: JobRecord, steps: int, engine: str) -> tuple[bool, str]:
    asked = record.spec.hyperparameters.xla
    if asked != "auto":
        return asked, f"{'with' if asked else 'without'} XLA: asked for"
    if engine == "stock":
        return False, "without XLA: the stock engine compiles each batch size again"
    likely = steps * likely_epochs(record)
    if likely < _STEPS_THAT_PAY_XLA:
        return False, f"without XLA: about {likely} steps would not pay for its compile"
    return True, f"with XLA: about {likely} steps pay for its compile"


def likely_epochs(record: JobRecord) -> int:
    """How many epochs the job will hardly exceed by much: the spec's, or a few times the patience."""
    spec = record.spec
    stopping = spec.callbacks.early_stopping
    if stopping is None:
        return spec.hyperparameters.epochs
    return min(spec.hyperparameters.epochs, stopping.start_from_epoch + _LIKELY_PATIENCES * stopping.patience)


def _threads(record: JobRecord, batch_size: int) -> int:
    operations = 6 * record.task.parameters * batch_size
    return 1 if operations < _SMALL_STEP_OPERATIONS else _cores()


def _cores() -> int:
    """Those that this process may use; all of them on a system that does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
