"""The life of a training run: load the data, build the model, resume, fit until learning stops, conclude."""

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
from worker.training.callbacks.rules import make_rules
from worker.training.conclude import conclude_failed, conclude_stopped, stop_evidence
from worker.training.context import RunContext
from worker.training.data.load import load_data
from worker.training.data.rows import Data
from worker.training.engine import prepare_engine
from worker.training.engine.device import prepare_tensorflow
from worker.training.engine.plan import decide_plan
from worker.training.engine.replicas import model_scope
from worker.training.errors import Superseded, TrainingStopped
from worker.training.evaluation import evaluate_best
from worker.training.extend import adapt_point
from worker.training.fit_settings import fit_settings_of
from worker.training.inference import write_inference_facts
from worker.training.models.build import build_model, describe_model
from worker.training.models.earlier_job import describe_earlier_model, find_earlier_model
from worker.training.models.weights import load_weights
from worker.training.program.prepared_script import PreparedScript
from worker.training.program.run import run_program
from worker.training.resume.session import ResumeSession
from worker.training.resume.state import build_variables
from worker.training.stop_requests import StopRequests

log = logging.getLogger(__name__)


def run(
    attempt: AttemptFolder,
    stop_requests: StopRequests,
    settings: Settings = Settings(),  # noqa: B008
    script: PreparedScript | None = None,
) -> Conclusion:
    """Train the attempt's job from where the previous attempt stopped, and return how the run ended.

    Everything that the conclusion states is on the disk when this returns. `script` is what `prepare_script` returned:
    None unless the job runs a program. Without a worker's heartbeat, compute time counts from this call.

    Raises Superseded if another worker has taken over the attempt; then nothing more is written. Raises
    FileNotFoundError if the job's folder has no spec.
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
        conclusion = _train(context) if script is None else run_program(context, script)
    return conclusion.model_copy(update={"held_seconds": budget.charged_seconds()})


def _train(run: RunContext) -> Conclusion:
    """Train a job that names its data and model, and return how the run ended. Raises Superseded."""
    callbacks: Callbacks | None = None
    try:
        run.check()
        earlier = find_earlier_model(run.attempt.job, run.record, run.keep_alive)
        data = _load_data(run, earlier)
        run.check()
        plan = run.attempt.job.plan() or decide_plan(run.record, data, earlier)
        prepare_tensorflow(plan)
        model = _build_model(run, plan, data, earlier)
        settings = fit_settings_of(run.record)
        engine = prepare_engine(run, model, data, settings, plan)
        run.check()
        resume = ResumeSession(run, model, settings, partial(adapt_point, run.record, model))
        callbacks = Callbacks(run, resume, make_rules(run))
        # If a callback has already stopped the run, `fit` only restores it, so that the conclusion can say why.
        epochs = resume.place.epoch if resume.was_stopped else resume.epochs
        with callbacks:
            engine.fit(callbacks, epochs)
            callbacks.finish()
        evaluate_best(run, model, data, plan.validation_batch, callbacks)
    except Superseded:
        run.writer.give_up()
        raise
    except TrainingStopped as request:
        if callbacks is not None:
            callbacks.resume_saver.save_here()
            callbacks.finish()
        return conclude_stopped(run, callbacks, request)
    except Exception as error:
        # The edge of the run: an unexpected error becomes the job's error, with its traceback in output.log.
        log.exception("the run failed")
        run.writer.give_up()
        return conclude_failed(run, callbacks, error)
    return _conclude_succeeded(run, callbacks)


def _load_data(run: RunContext, earlier: EarlierModel | None) -> Data:
    """Load the job's data, and report it."""
    data = load_data(run.attempt, run.record, run.settings, run.keep_alive, earlier)
    write_inference_facts(run.attempt, data)
    run.events.write([_data_event(data)])
    return data


def _build_model(run: RunContext, plan: EnginePlan, data: Data, earlier: EarlierModel | None) -> keras.Model:
    """Build and report the compiled model, with all its variables on each device of the plan."""
    record = run.record
    with model_scope(plan):
        model = build_model(record, data, earlier)
        load_weights(model, record, run.attempt)
        build_variables(model, data.train.first_row)
    run.events.write(
        [describe_earlier_model(model, record, data, earlier) if earlier else describe_model(model, record)]
    )
    return model


def _conclude_succeeded(run: RunContext, callbacks: Callbacks) -> Conclusion:
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
