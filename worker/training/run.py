"""The life of a training run: data, plan, model, resume, fit until learning stops, conclude."""

import logging
import os
import time
from functools import partial

import keras

from shared.earlier_model import EarlierModel
from shared.events import Event, EventWriter
from shared.job import Conclusion, Ending, EnginePlan
from shared.job_folder import AttemptFolder
from shared.settings import Settings
from worker.ipc.beat import moment_of_claim
from worker.training.background import BackgroundWriter
from worker.training.budget import BudgetWatch
from worker.training.callbacks import Callbacks
from worker.training.callbacks.rules import rules_of
from worker.training.carry_on import carry_on
from worker.training.conclude import failed, stop_evidence, stopped
from worker.training.context import RunContext
from worker.training.data.load import load_data
from worker.training.data.rows import Data
from worker.training.engine import ready_engine
from worker.training.engine.device import prepare_tensorflow
from worker.training.engine.plan import decide
from worker.training.engine.replicas import model_scope
from worker.training.errors import Superseded, TrainingStopped
from worker.training.evaluation import evaluate_best
from worker.training.fit_settings import settings_of
from worker.training.inference import write_inference_facts
from worker.training.models.build import build_model, describe
from worker.training.models.earlier_job import describe_earlier, find_earlier
from worker.training.models.weights import load_weights
from worker.training.program.run import run_program
from worker.training.program.stage import Stage
from worker.training.resume.session import ResumeSession
from worker.training.resume.state import build_variables
from worker.training.stop_requests import StopRequests

log = logging.getLogger(__name__)


def run(
    attempt: AttemptFolder,
    stop_requests: StopRequests,
    settings: Settings = Settings(),  # noqa: B008
    stage: Stage | None = None,
) -> Conclusion:
    """Train the job that `attempt` belongs to, from where the attempt before it left off, and say how it ended.

    Of the settings it heeds `resume_seconds`, `hang_seconds` and `device_data_bytes`. The conclusion that it returns
    is true of what is on the disk by then. Where no worker beats, the attempt's time counts from here. `stage` is where
    the script of a job that runs a program is about to run (`set_stage`).
    Raises Superseded where the attempt is not ours any more; nothing is written then.
    """
    record = attempt.job.record()
    if record is None:
        raise FileNotFoundError(attempt.job.spec_file)
    claimed = moment_of_claim(attempt)
    if claimed is None:
        claimed = time.monotonic()
    with EventWriter(attempt.events_file, claimed) as events, BackgroundWriter() as writer:
        budget = BudgetWatch(attempt, record.spec.budget, claimed, is_trial=record.sweep is not None)
        context = RunContext(attempt, record, stop_requests, budget, settings, events, writer)
        events.write([_started_event()])
        conclusion = _conclusion(context) if stage is None else run_program(context, stage)
    return conclusion.model_copy(update={"held_seconds": budget.charged_seconds()})


def _conclusion(run: RunContext) -> Conclusion:
    record = run.record
    callbacks: Callbacks | None = None
    try:
        run.check()
        earlier = find_earlier(run.attempt.job, record, run.go_on)
        data = load_data(run.attempt, record, run.settings, run.go_on, earlier)
        write_inference_facts(run.attempt, data)
        run.events.write([_data_event(data)])
        run.check()
        plan = run.attempt.job.plan() or decide(record, data, earlier)
        prepare_tensorflow(plan)
        model = _make_model(run, plan, data, earlier)
        run.events.write([describe_earlier(model, record, data, earlier) if earlier else describe(model, record)])
        settings = settings_of(record)
        engine = ready_engine(run, model, data, settings, plan)
        run.check()
        resume = ResumeSession(run, model, settings, partial(carry_on, record, model))
        callbacks = Callbacks(run, resume, rules_of(run))
        with callbacks:
            # A run that a callback had stopped is only put back together, so that it can say why.
            engine.fit(callbacks, resume.place.epoch if resume.was_stopped else resume.epochs)
            callbacks.finish()
        evaluate_best(run, model, data, plan.validation_batch, callbacks)
    except Superseded:
        run.writer.give_up()
        raise
    except TrainingStopped as request:
        if callbacks is not None:
            callbacks.resume_saver.save_here()
            callbacks.finish()
        return stopped(run, callbacks, request)
    except Exception as error:
        # The edge of the run: what is not foreseen is recorded as the job's error, with its trace in output.log.
        log.exception("the run failed")
        run.writer.give_up()
        return failed(run, callbacks, error)
    return _succeeded(run, callbacks)


def _make_model(run: RunContext, plan: EnginePlan, data: Data, earlier: EarlierModel | None) -> keras.Model:
    """The compiled model with all its variables, on each device of the plan."""
    with model_scope(plan):
        model = build_model(run.record, data, earlier)
        load_weights(model, run.record, run.attempt)
        build_variables(model, data.train.first_row)
    return model


def _succeeded(run: RunContext, callbacks: Callbacks) -> Conclusion:
    reason = "early_stopping" if callbacks.stopped_early else "epochs_completed"
    return Conclusion(ending=Ending(status="succeeded", stop=stop_evidence(run, callbacks, reason)))


def _started_event() -> Event:
    return Event("started", f"training process {os.getpid()} has started", {"pid": os.getpid()})


def _data_event(data: Data) -> Event:
    decoding = data.facts.get("decoding", {})
    message = (
        f"{len(data.train)} rows to train on, {len(data.validation)} to validate on, {data.features} features"
        + (f"; {len(data.test)} rows kept as test part" if data.test else "")
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
