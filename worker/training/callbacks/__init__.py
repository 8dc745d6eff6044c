"""The callbacks of a run, one concern in each file, as one visible ordered list.

The order matters. First the pulse, since a batch is done whatever comes of it; then what may end the epoch before
anything is kept of it (a number that is not finite); then the article's four, Keras's own classes under the hood; then
the narrator, which tells what the others did; then the resume point, which saves what all of them are; last the
requests to stop, so that a run that is stopped knows its place.
"""

from types import TracebackType
from typing import Any, Protocol, Self

import keras

from shared.events import EventWriter
from shared.job import JobRecord
from worker.training.callbacks.csv_log import CSVLog
from worker.training.callbacks.early_stopping import PatientStopping
from worker.training.callbacks.learning_rate import LearningRateLog
from worker.training.callbacks.model_checkpoint import WholeCheckpoint
from worker.training.callbacks.narrator import Narrator
from worker.training.callbacks.not_finite import NotFinite
from worker.training.callbacks.progress_pulse import ProgressPulse
from worker.training.callbacks.reduce_lr import ReduceLROnPlateau
from worker.training.callbacks.resume_saver import ResumeSaver
from worker.training.callbacks.stopping import StopBetweenBatches
from worker.training.resume.session import ResumeSession
from worker.training.stop_requests import StopRequests


class Stateful(Protocol):
    """A callback whose state belongs to the run."""

    def state(self) -> dict[str, Any]:
        """Its state as JSON values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Be as it was when `state` was taken."""


class Callbacks:
    """The callbacks of one run; as a context, closes what they hold open however the run ends."""

    def __init__(
        self,
        record: JobRecord,
        stop_requests: StopRequests,
        events: EventWriter,
        resume: ResumeSession,
        hang_seconds: float,
    ) -> None:
        attempt = resume.attempt
        spec = record.spec.callbacks
        self.checkpoint = WholeCheckpoint(spec.model_checkpoint, attempt) if spec.model_checkpoint else None
        self.reduce_lr = ReduceLROnPlateau(spec.reduce_lr_on_plateau) if spec.reduce_lr_on_plateau else None
        self.early_stopping = PatientStopping(spec.early_stopping) if spec.early_stopping else None
        self.csv_log = CSVLog(spec.csv_logger, attempt.training_log) if spec.csv_logger else None
        self.narrator = Narrator(
            record.spec.hyperparameters.epochs, events, self.checkpoint, self.reduce_lr, self.early_stopping
        )
        self.resume_saver = ResumeSaver(
            resume,
            save=lambda place, is_stopped: resume.save(self, place, is_stopped=is_stopped),
            restore=lambda: resume.restore(self),
        )
        ordered = [
            ProgressPulse(hang_seconds),
            NotFinite(),
            LearningRateLog(),
            self.checkpoint,
            self.reduce_lr,
            self.early_stopping,
            self.csv_log,
            self.narrator,
            self.resume_saver,
            StopBetweenBatches(stop_requests),
        ]
        self.in_order: list[keras.callbacks.Callback] = [callback for callback in ordered if callback is not None]

    @property
    def stateful(self) -> dict[str, Stateful]:
        """The callbacks whose state belongs to the run, by the names that a resume point knows them by."""
        named: dict[str, Stateful | None] = {
            "model_checkpoint": self.checkpoint,
            "reduce_lr_on_plateau": self.reduce_lr,
            "early_stopping": self.early_stopping,
            "csv_logger": self.csv_log,
            "narrator": self.narrator,
        }
        return {name: callback for name, callback in named.items() if callback is not None}

    @property
    def stopped_early(self) -> bool:
        """Whether early stopping, and not the number of epochs, ended the run."""
        return self.early_stopping is not None and self.early_stopping.has_stopped

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.csv_log is not None:
            self.csv_log.close()
