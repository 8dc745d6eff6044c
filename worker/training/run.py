"""The life of a training run: data, plan, model, resume, fit until learning stops, conclude."""

import logging
import os
import time

from shared.events import Event, EventWriter
from shared.job import Conclusion, Ending
from shared.job_folder import AttemptFolder
from shared.settings import Settings
from worker.ipc.beat import moment_of_claim
from worker.training.background import BackgroundWriter
from worker.training.budget import BudgetWatch
from worker.training.callbacks import Callbacks
from worker.training.carry_on import carry_on
from worker.training.conclude import budget_event, stop_evidence, within_budget
from worker.training.context import RunContext
from worker.training.data.load import load_data
from worker.training.data.rows import Data
from worker.training.engine import ready_engine
from worker.training.engine.device import prepare_tensorflow
from worker.training.engine.plan import decide
from worker.training.errors import BudgetUsedUp, Superseded, TrainingStopped, failure
from worker.training.evaluation import evaluate_best
from worker.training.inference import write_inference_facts
from worker.training.models.build import build_model, describe
from worker.training.models.earlier_job import describe_earlier, find_earlier
from worker.training.models.weights import load_weights
from worker.training.resume.session import ResumeSession
from worker.training.resume.state import build_variables
from worker.training.stop_requests import StopRequests

log = logging.getLogger(__name__)


def run(attempt: AttemptFolder, stop_requests: StopRequests, settings: Settings = Settings()) -> Conclusion:  # noqa: B008
    """Train the job that `attempt` belongs to, from where the attempt before it left off, and say how it ended.

    Of the settings it heeds `resume_seconds`, `hang_seconds` and `device_data_bytes`. The conclusion that it returns
    is true of what is on the disk by then. Where no worker beats, the attempt's time counts from here.
    Raises Superseded where the attempt is not ours any more; nothing is written then.
    """
    record = attempt.job.record()
    if record is None:
        raise FileNotFoundError(attempt.job.spec_file)
    claimed = moment_of_claim(attempt)
    if claimed is None:
        claimed = time.monotonic()
    with EventWriter(attempt.events_file, claimed) as events, BackgroundWriter() as writer:
        budget = BudgetWatch(attempt, record.spec.budget, claimed)
        return _conclusion(RunContext(attempt, record, stop_requests, budget, settings, events, writer))


def _conclusion(run: RunContext) -> Conclusion:
    record = run.record
    callbacks: Callbacks | None = None
    try:
        run.events.write([_started_event()])
        run.check()
        earlier = find_earlier(run.attempt.job, record, run.go_on)
        data = load_data(run.attempt, record, run.settings, run.go_on, earlier)
        write_inference_facts(run.attempt, data)
        run.events.write([_data_event(data)])
        run.check()
        plan = run.attempt.job.plan() or decide(record, data, earlier)
        prepare_tensorflow(plan)
        model = build_model(record, data, earlier)
        load_weights(model, record, run.attempt)
        build_variables(model, data.train.first_row)
        run.events.write([describe_earlier(model, record, data, earlier) if earlier else describe(model, record)])
        engine = ready_engine(run, model, data, plan)
        run.check()
        resume = ResumeSession(run, model, carry_on)
        callbacks = Callbacks(run, resume)
        with callbacks:
            # A run that a callback had stopped is only put back together, so that it can say why.
            engine.fit(callbacks, resume.place.epoch if resume.was_stopped else resume.epochs)
            callbacks.finish()
        evaluate_best(run, model, data, plan.validation_batch, callbacks)
    except Superseded:
        run.writer.give_up()
        raise
    except TrainingStopped as stopped:
        if callbacks is not None:
            callbacks.resume_saver.save_here()
            callbacks.finish()
        return _stopped(run, callbacks, stopped)
    except Exception as error:
        # The edge of the run: what is not foreseen is recorded as the job's error, with its trace in output.log.
        log.exception("the run failed")
        run.writer.give_up()
        return _failed(run, callbacks, error)
    return _succeeded(run, callbacks)


def _succeeded(run: RunContext, callbacks: Callbacks) -> Conclusion:
    reason = "early_stopping" if callbacks.stopped_early else "epochs_completed"
    return Conclusion(ending=Ending(status="succeeded", stop=stop_evidence(run, callbacks, reason)))


def _failed(run: RunContext, callbacks: Callbacks | None, raised: Exception) -> Conclusion:
    error, may_retry = failure(raised, run.attempt.volume_root)
    stop = stop_evidence(run, callbacks, "diverged" if error.code == "diverged" else "error")
    place = callbacks.resume_saver.place if callbacks else None
    return Conclusion(ending=Ending(status="failed", stop=stop, error=error), may_retry=may_retry, place=place)


def _stopped(run: RunContext, callbacks: Callbacks | None, stopped: TrainingStopped) -> Conclusion:
    """The run stops before its end: for ever, or to hand the job to another attempt."""
    if isinstance(stopped, BudgetUsedUp):
        stop = stop_evidence(run, callbacks, "budget").model_copy(update={"budget": stopped.used})
        run.events.write([budget_event(stop)])
        return Conclusion(ending=within_budget(stop))
    if stopped.reason == "cancelled":
        stop = stop_evidence(run, callbacks, "cancelled")
        return Conclusion(ending=Ending(status="cancelled", stop=stop))
    return Conclusion(ending=None, may_retry=True)


def _started_event() -> Event:
    return Event("started", f"the training process {os.getpid()} is at work", {"pid": os.getpid()})


def _data_event(data: Data) -> Event:
    decoding = data.facts.get("decoding", {})
    message = (
        f"{len(data.train)} rows to train on, {len(data.validation)} to validate on, {data.features} features"
        + (f"; {len(data.test)} rows kept aside to test on" if data.test else "")
        + (f"; {data.dropped_rows} rows with a missing value dropped" if data.dropped_rows else "")
        + (f"; {decoding['images']} images decoded in {decoding['seconds']:g} s" if decoding.get("images") else "")
    )
    facts = {
        "training_rows": len(data.train),
        "validation_rows": len(data.validation),
        "test_rows": len(data.test) if data.test else 0,
        "features": data.features,
        "dropped_rows": data.dropped_rows,
        "classes": None if data.classes is None else len(data.classes),
        **data.facts,
    }
    return Event("data", message, facts)
