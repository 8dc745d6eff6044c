"""The callbacks of a run, one concern in each file, as one visible ordered list.

The order matters. First the pulse, since a batch is done whatever comes of it; then what may end the epoch before
anything is kept of it (a number that is not finite, a validation for which the budget is too small: the resume point
must not hear of that validation); then those that decide (`rules`), Keras's own classes under the hood; then the
narrator, which tells what the others did; then the resume point, which saves what all of them are; last the requests to
stop. Between two batches the budget comes last too, so that a run that is stopped knows its place.
"""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import keras

from worker.training.callbacks.budget import StopWithinBudget
from worker.training.callbacks.narrator import Narrator
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
        """`step` batches of the epoch are done, with these metrics until there."""


class Callbacks:
    """The callbacks of one run; as a context, closes what they hold open however the run ends."""

    def __init__(self, run: RunContext, resume: ResumeSession, rules: Rules) -> None:
        self.resume = resume
        self._run = run
        self._rules = rules
        self.early_stopping, self.csv_log = rules.early_stopping, rules.csv_log
        self.epochs = resume.epochs
        self.not_finite = NotFinite()
        self.narrator = Narrator(resume.epochs, run.events, rules.checkpoint, rules.reduce_lr, rules.early_stopping)
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
            self.narrator,
            self.resume_saver,
            self._stopping,
        ]

    def _parts(self) -> Parts:
        checkpoint = self._rules.checkpoint
        stateful = {**self._rules.stateful, "narrator": self.narrator}
        return Parts(stateful, self.csv_log, checkpoint.store if checkpoint else None)

    def steps_done(self, step: int, logs: Mapping[str, Any]) -> None:
        """The engine's word that `step` batches of the epoch are done; raises where the run cannot or must not go on.

        Keras's own batch hooks are not used: an engine may do thousands of batches in one call.
        """
        for callback in self._between_steps:
            callback.steps_done(step, logs)

    def validated(self, step: int) -> None:
        """The engine's word that `step` batches of the validation are done."""
        self._pulse.validated(step)
        self._stopping.validated(step)
        self._budget.validated(step)

    def finish(self) -> None:
        """Wait until everything that the run has written is on the disk. Raises what writing raised."""
        self._run.writer.finish()
        if self.csv_log:
            self.csv_log.sync()
        self._run.events.sync()

    @property
    def stopped_early(self) -> bool:
        """Whether early stopping, and not the number of epochs, ended the run."""
        return self.early_stopping is not None and self.early_stopping.has_stopped

    def _writing_seconds(self, more: int) -> float:
        """How long it takes to write what waits for it now, and so much more, judged by what was written of late."""
        each = max(self.resume.save_seconds, self._run.writer.seconds.usual)
        return each * (self._run.writer.unfinished + more)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.csv_log is not None:
            self.csv_log.close()
