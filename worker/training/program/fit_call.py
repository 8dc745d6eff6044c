"""Runs one call of `fit` in a script.

The script compiles the model, its callbacks act as in Keras, and `fit` returns the same history as in Keras. Fitstop
adds the order of the rows, the engine, the resume points, and the evidence for the stop.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil, prod
from typing import Any

import keras

from shared.events import Event
from shared.fits import EVENT, FitCall, Kept
from shared.job import EnginePlan
from shared.job_folder import AttemptFolder
from shared.problems import list_names
from shared.spec import CSVLoggerSpec
from worker.training.callbacks import Callbacks
from worker.training.callbacks.early_stopping import PatientStopping
from worker.training.callbacks.learning_rate import LearningRateLog
from worker.training.callbacks.rules import Rules
from worker.training.conclude import stop_evidence
from worker.training.context import RunContext
from worker.training.data.rows import Data
from worker.training.engine import Engine, compile_engine
from worker.training.engine.own_code import has_own_logs
from worker.training.engine.plan import describe_engine
from worker.training.errors import TrainingStopped
from worker.training.fit_settings import FitSettings
from worker.training.program import random_state
from worker.training.program.arrays import NotRows, fingerprint, read_data
from worker.training.program.built_datasets import (
    BuiltDatasets,
    CountedPasses,
    advise_exact_resume,
    count_batches,
    digest,
    find_built,
    find_differing_batches,
    read_first_batch,
)
from worker.training.program.calls import Before, CallState, Ended
from worker.training.program.engine_choice import Asked, plan_of_call
from worker.training.program.evidence import (
    JobLog,
    ScriptPlateau,
    ScriptStopping,
    best_model,
    describe_stop_rule,
    direction,
    logged_names,
)
from worker.training.program.made_model import find_best_of_call
from worker.training.program.model_steps import ModelSteps, make_variables
from worker.training.program.own_loop import OwnLoop
from worker.training.program.prepared_script import decide_machine_plan
from worker.training.program.printing import EpochLines
from worker.training.program.script_callbacks import (
    Numbering,
    ScriptCallbacks,
    UnsuitableCallback,
    choose_callbacks,
    explain_lost_state,
    uses_batches,
)
from worker.training.program.sequence_loop import SequenceLoop, find_sequence, first_batch
from worker.training.program.work_files import WorkFiles, check_copy
from worker.training.resume.point import Place, ResumePoint
from worker.training.resume.session import ResumeSession

log = logging.getLogger(__name__)

Fit = Callable[..., Any]
_USUAL_BATCH = 32


class ScriptFit:
    """A call of `fit`: trains, or restores the recorded end of a call that had finished."""

    def __init__(  # noqa: PLR0913, PLR0917  the call, and what it runs in
        self,
        run: RunContext,
        files: WorkFiles,
        before: Before,
        fit: Fit,
        model: keras.Model,
        arguments: Mapping[str, Any],
    ) -> None:
        self._run = run
        self._files = files
        self._before = before
        self._fit = fit
        self._model = model
        self._arguments = arguments
        self.number = before.calls + 1
        self._offset = before.epochs - int(arguments["initial_epoch"])
        self._reasons: list[str] = []
        self._kind: Kept = "exact"
        self._rule: Any = None
        self._data: Data | None = None
        self._steps = ModelSteps()
        self.callbacks: Callbacks | None = None

    @property
    def _record_name(self) -> str:
        return f"fit-{self.number:04d}.bin"

    def end(self) -> Ended:
        """Train, or restore the end that an earlier attempt recorded, and return it."""
        with random_state.preserve_generators():
            chosen = choose_callbacks(self._arguments["callbacks"])
            self._data, why_not = self._read_data()
            self._build()
            settings = self._settings()
            mark = CallState(self.number, settings.seed, self._fingerprint())
            session = ResumeSession(self._run, self._model, settings, self._is_of_this_call, self._record_name)
            settings = self._adopt_resumed(settings, mark, session)
            begun = session.place.epoch if session.place.step else None
            params = self._params(settings)
            block = ScriptCallbacks(chosen, Numbering(self._offset, params, begun))
            block.set_model(self._model)
            # The logs that a model's own step returns for the last batch of an epoch are not in a resume point.
            unsaved = params["steps"] if has_own_logs(self._model) else 0
            saves_inside = not why_not and unsaved is not None and not any(map(uses_batches, chosen))
            self._rule, added = self._stopping(block)
            rules = replace(
                self._rules(block, mark, added), saves_inside_epochs=saves_inside, unsaved_step=unsaved or None
            )
            self.callbacks = Callbacks(self._run, session, rules)
            self.callbacks.epoch_reporter.last_epoch = self._before.epochs
            self._judge_resume(chosen, why_not, session)
            engine = None if session.finished_by else self._engine(why_not, settings, chosen, session, mark)
        with self.callbacks:
            if session.finished_by is not None:
                self._restore_end(session, block)
            else:
                assert engine is not None
                self._report_place(session)
                self._train(engine, session)
            return self._ended(block, session)

    # What is trained

    def _read_data(self) -> tuple[Data | None, str]:
        """The rows; or None, and why Keras itself must iterate over the data (empty if it need not)."""
        if find_sequence(self._arguments) is not None or find_built(self._arguments) is not None:
            return None, ""
        try:
            return read_data(self._arguments), ""
        except NotRows as reason:
            return None, str(reason)

    def _fingerprint(self) -> str:
        """A hash of the training data; of the first batch of datasets built for each epoch; else empty."""
        built = find_built(self._arguments)
        return fingerprint(self._data) if self._data else digest(read_first_batch(built)) if built else ""

    def _build(self) -> None:
        """Create all variables of the model from a first batch."""
        built = find_built(self._arguments)
        batch = (
            self._data.train.first_row
            if self._data
            else read_first_batch(built)
            if built
            else first_batch(self._arguments)
        )
        if batch is not None:
            self._steps = make_variables(self._model, batch)

    def _settings(self) -> FitSettings:
        asked = self._arguments
        return FitSettings(
            epochs=max(self._before.epochs, int(asked["epochs"]) + self._offset),
            batch_size=int(asked["batch_size"] or _USUAL_BATCH),
            seed=random_state.derive_seed(self.number),
            first_epoch=self._before.epochs,
            shuffle=bool(asked["shuffle"]),
        )

    def _params(self, settings: FitSettings) -> dict[str, Any]:
        asked, sequence = self._arguments, find_sequence(self._arguments)
        steps = asked["steps_per_epoch"] if sequence is None else len(sequence)
        if find_built(asked) is not None:
            steps = count_batches(asked["x"])
        if self._data is not None:
            steps = ceil(len(self._data.train) / settings.batch_size)
        return {"verbose": 0, "epochs": asked["epochs"], "steps": steps}

    def _rules(
        self,
        block: ScriptCallbacks,
        mark: CallState,
        added: list[PatientStopping],
    ) -> Rules:
        checkpoint = best_model(
            self._run, block.callbacks, self._logged_names(has_validation=True), has_validation=self._has_validation
        )
        csv_log = JobLog(CSVLoggerSpec(), self._run.attempt.training_log)
        plateau = block.find(keras.callbacks.ReduceLROnPlateau)
        lines = [EpochLines(self._arguments["epochs"], self._offset)] if self._arguments["verbose"] != 0 else []
        return Rules(
            in_order=[block, *added, LearningRateLog(), checkpoint, csv_log, *lines],
            # The files first: a log continues in the restored file.
            stateful={
                "fit": mark,
                "files": self._files,
                "script": block,
                **self._passes(),
                "model_checkpoint": checkpoint,
                "csv_logger": csv_log,
                **({"early_stopping": added[0]} if added else {}),
            },
            checkpoint=checkpoint,
            reduce_lr=ScriptPlateau(plateau, block) if plateau is not None else None,
            early_stopping=self._rule,
            csv_log=csv_log,
        )

    def _passes(self) -> dict[str, CountedPasses]:
        """The number of passes over datasets that the script builds for each epoch, as a state."""
        counted = CountedPasses(self._arguments)
        return {"passes": counted} if counted.state() else {}

    @property
    def _has_validation(self) -> bool:
        return bool(len(self._data.validation)) if self._data else self._arguments["validation_data"] is not None

    def _stopping(self, block: ScriptCallbacks) -> tuple[Any, list[PatientStopping]]:
        """The script's own early stopping, or that of the job's spec; and the callbacks to add."""
        own, spec = block.find(keras.callbacks.EarlyStopping), self._run.record.spec.callbacks.early_stopping
        if own is not None:
            return ScriptStopping(own, block, self._offset), []
        if spec is None:
            return None, []
        names = self._logged_names(has_validation=self._has_validation)
        monitor = spec.monitor if spec.monitor != "auto" else "val_loss" if self._has_validation else "loss"
        if monitor not in names:
            raise UnsuitableCallback(
                f'the job\'s early stopping monitors "{monitor}", which call {self.number} of fit does not log; '
                f"it logs {list_names(names)}"
            )
        probe = keras.callbacks.EarlyStopping(monitor, mode=spec.mode)
        probe.set_model(self._model)
        probe._set_monitor_op()
        changes = {
            "monitor": monitor,
            "mode": direction(probe),
            "start_from_epoch": spec.start_from_epoch + self._offset,
        }
        added = PatientStopping(spec.model_copy(update=changes))
        return added, [added]

    def _logged_names(self, *, has_validation: bool) -> list[str]:
        return logged_names(self._model, self._steps.logged, has_validation=has_validation)

    # Where it resumes

    def _is_of_this_call(self, point: ResumePoint, earlier: AttemptFolder) -> ResumePoint | None:
        if point.callbacks.get("fit", {}).get("number") != self.number:
            return None
        check_copy(earlier.job, point.callbacks.get("files", {}))
        return point

    def _adopt_resumed(self, settings: FitSettings, mark: CallState, session: ResumeSession) -> FitSettings:
        """Use the seed and the plan of the resumed attempt; report a run with other data as inexact."""
        if session.resumed is None:
            return settings
        saved = session.resumed.callbacks["fit"]
        if saved["data"] != mark.data:
            session.report_inexact(
                f"call {self.number} of fit has other data than before the interruption; set the seeds of the script"
            )
        mark.seed = int(saved["seed"])
        mark.plan = EnginePlan.model_validate(saved["plan"]) if "plan" in saved else None
        return replace(settings, seed=mark.seed)

    def _judge_resume(self, chosen: list[Any], why_not: str, session: ResumeSession) -> None:
        """Decide how exact a resume will be, with the reasons; after an interruption, report them."""
        reasons = [reason for one in chosen if (reason := explain_lost_state(one))]
        if reasons:
            self._kind = "epoch"
        inexact = find_differing_batches(self._arguments) if self._data is None and not why_not else []
        inexact += self._steps.inexact
        if why_not:
            cure = advise_exact_resume(self._arguments)
            inexact += [
                f"{why_not}: Keras itself iterates over the data, and its random state cannot be restored{cure}"
            ]
        if inexact:
            self._kind = "inexact"
            reasons += inexact
        self._reasons = reasons
        if session.resumed is not None and session.finished_by is None:
            for reason in reasons:
                session.report_inexact(reason, self._kind)

    def _report_place(self, session: ResumeSession) -> None:
        """In the first call that trains, report the attempt whose finished calls were restored."""
        if session.resumed is None and self._before.resumed_attempt is not None:
            session.report_place(Place(self._before.epochs, 0), self._before.resumed_attempt)

    def _restore_end(self, session: ResumeSession, block: ScriptCallbacks) -> None:
        assert self.callbacks is not None
        session.restore(self.callbacks.parts)
        self._model.stop_training = block.stopped_by is not None
        self._run.events.write([Event(EVENT, f"call {self.number} of fit had finished: its end state is restored", {})])

    # The training

    def _engine(
        self, why_not: str, settings: FitSettings, chosen: list[Any], session: ResumeSession, mark: CallState
    ) -> Engine:
        self._report_call(settings)
        data = self._data
        if find_built(self._arguments) is not None:
            message = "stock engine: batches of a dataset that the script builds for each epoch"
            self._run.events.write([Event("engine", message, {"engine": "stock"})])
            return BuiltDatasets(self._fit, self._model, self._arguments, settings)
        if data is None and not why_not:
            message = "stock engine: batches of a PyDataset by their numbers"
            self._run.events.write([Event("engine", message, {"engine": "stock"})])
            return SequenceLoop(self._fit, self._model, self._arguments, settings, session.place)
        if data is None:
            engine: Engine = OwnLoop(self._fit, self._model, self._arguments)
            self._run.events.write([Event("engine", f"Keras's own fit: {why_not}", {"engine": "stock"})])
            return engine
        engine, kept = compile_engine(self._run, self._model, data, settings, self._plan(data, settings, chosen, mark))
        if session.resumed is None or mark.plan is not None:
            mark.plan = kept
        self._run.events.write([describe_engine(kept)])
        return engine

    def _plan(self, data: Data, settings: FitSettings, chosen: list[Any], mark: CallState) -> EnginePlan:
        """The plan of the resumed attempt, or a new one."""
        threads = decide_machine_plan(self._run.attempt.job).threads
        stopping = self._rule.settings if self._rule else None
        validated = self._arguments["validation_batch_size"]
        asked = Asked(self._model, self._steps, settings, validated, chosen, stopping, threads)
        return mark.plan or plan_of_call(asked, data)

    def _report_call(self, settings: FitSettings) -> None:
        call = FitCall(
            number=self.number,
            after_epoch=self._before.epochs,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            rule=self._rule.settings if self._rule else None,
            resume=self._kind,
            reasons=tuple(self._reasons),
        )
        ends, level = describe_stop_rule(self._rule, self._logged_names(has_validation=self._has_validation))
        name, parameters = self._model.name, sum(prod(one.shape) for one in self._model.weights)
        message = f"call {self.number} of fit: up to {self._arguments['epochs']} epochs; {ends}"
        self._run.events.write([Event(EVENT, message, call.event_data(), level), *_data_events(self._data)])
        model = {"kind": "program", "parameters": parameters}
        self._run.events.write([Event("model", f'Keras model "{name}", {parameters} parameters', model)])

    def _train(self, engine: Engine, session: ResumeSession) -> None:
        callbacks = self.callbacks
        assert callbacks is not None
        jit = self._model.jit_compile
        try:
            # If a callback has already stopped the run, `fit` only restores it.
            engine.fit(callbacks, session.place.epoch if session.was_stopped else session.epochs)
        except TrainingStopped:
            callbacks.resume_saver.save_here()
            callbacks.finish()
            raise
        finally:
            # The engines have replaced these functions of Keras.
            self._model.train_function = self._model.test_function = None
            self._model.jit_compile = jit
        self._files.keeps_next = True
        callbacks.resume_saver.save_finished(self._record_name)
        callbacks.finish()

    def _ended(self, block: ScriptCallbacks, session: ResumeSession) -> Ended:
        assert self.callbacks is not None
        self._model.history = block.history
        reason = "early_stopping" if self.callbacks.stopped_early else "epochs_completed"
        if block.stopped_by is not None and not self.callbacks.stopped_early:
            reason = "callback"
        stop = stop_evidence(self._run, self.callbacks, reason)
        resumed_attempt = session.finished_by or None
        after = Before(self.number, max(self._before.epochs, self.callbacks.epoch_reporter.last_epoch), resumed_attempt)
        best = find_best_of_call(self._before.epochs, self.callbacks, self._model, self._data, self._arguments)
        return Ended(block.history, after, stop, best)


def _data_events(data: Data | None) -> list[Event]:
    if data is None:
        return []
    train, validation = len(data.train), len(data.validation)
    message = f"{train} rows to train on, {validation} to validate on"
    return [Event("data", message, {"training_rows": train, "validation_rows": validation})]
