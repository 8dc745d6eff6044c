"""The callbacks of a run, as one ordered list. Each file has one callback with one concern.

The order matters:

    1. the pulse, which counts every batch
    2. what may end an epoch before anything of it is saved: a number that is not finite, or a budget that does not
       suffice for the validation
    3. the rules that decide (`rules`), which derive from Keras's own classes
    4. the epoch reporter, which writes events about what the others have done
    5. the resume saver, which saves the state of all others
    6. the requests to stop

Between two batches the budget comes last, so that the position of a stopped run is known.
"""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import keras

from worker.training.callbacks.budget import StopWithinBudget
from worker.training.callbacks.epoch_reporter import EpochReporter
from worker.training.callbacks.not_finite import NotFinite
from worker.training.callbacks.progress_pulse import ProgressPulse
from worker.training.callbacks.resume_saver import ResumeSaver
from worker.training.callbacks.rules import Rules
from worker.training.callbacks.stopping import StopBetweenBatches
from worker.training.context import RunContext
from worker.training.resume.parts import Parts
from worker.training.resume.session import ResumeSession


class BetweenSteps(Protocol):
    """A callback that acts inside an epoch."""

    def steps_done(self, step: int, logs: Mapping[str, Any]) -> None:
        """Called after `step` batches of the epoch, with the metrics so far."""


class Callbacks:
    """The callbacks of one run. As a context manager, closes their files at the end of the run, however it ends."""

    def __init__(self, run: RunContext, resume: ResumeSession, rules: Rules) -> None:
        self.resume = resume
        self._run = run
        self._rules = rules
        self.early_stopping, self.csv_log = rules.early_stopping, rules.csv_log
        self.epochs = resume.epochs
        self.not_finite = NotFinite()
        self.epoch_reporter = EpochReporter(
            resume.epochs, run.events, rules.checkpoint, rules.reduce_lr, rules.early_stopping
        )
        self.parts = self._parts()
        self.resume_saver = ResumeSaver(
            resume, self.parts, run.writer,
            is_inside_epochs=rules.saves_inside_epochs, unsaved_step=rules.unsaved_step,
        )  # fmt: skip
        self._pulse = ProgressPulse(run.settings.hang_seconds)
        self._stopping = StopBetweenBatches(run.stop_requests)
        self._budget = StopWithinBudget(run.budget, self._writing_seconds)
        self._between_steps: tuple[BetweenSteps, ...] = (
            self._pulse,
            self.not_finite,
            self.resume_saver,
            self._stopping,
            self._budget,
        )
        self.in_order: list[keras.callbacks.Callback] = [
            self._pulse,
            self.not_finite,
            self._budget,
            *rules.in_order,
            self.epoch_reporter,
            self.resume_saver,
            self._stopping,
        ]

    def _parts(self) -> Parts:
        checkpoint = self._rules.checkpoint
        stateful = {**self._rules.stateful, "narrator": self.epoch_reporter}
        return Parts(stateful, self.csv_log, checkpoint.store if checkpoint else None)

    def steps_done(self, step: int, logs: Mapping[str, Any]) -> None:
        """Called by the engine after `step` batches of the epoch, with the logs so far. Raises to end the run.

        Keras's own batch hooks are not used, because an engine may run thousands of batches in one call.
        """
        for callback in self._between_steps:
            callback.steps_done(step, logs)

    def validated(self, step: int) -> None:
        """Called by the engine after `step` batches of the validation. Raises to end the run."""
        self._pulse.validated(step)
        self._stopping.validated(step)
        self._budget.validated(step)

    def finish(self) -> None:
        """Wait until everything that the run wrote is on the disk. Raises the errors of writing."""
        self._run.writer.finish()
        if self.csv_log:
            self.csv_log.sync()
        self._run.events.sync()

    @property
    def stopped_early(self) -> bool:
        """Whether early stopping ended the run."""
        return self.early_stopping is not None and self.early_stopping.has_stopped

    def _writing_seconds(self, more: int) -> float:
        """Estimated seconds to write the waiting tasks and `more` files, from recent writes."""
        each = max(self.resume.save_seconds, self._run.writer.seconds.usual)
        return each * (self._run.writer.unfinished + more)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.csv_log is not None:
            self.csv_log.close()
