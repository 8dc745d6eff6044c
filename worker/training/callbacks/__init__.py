"""The callbacks of a run, one concern in each file, as one visible ordered list.

The order matters. First those that may end the epoch before anything is kept of it (a request to stop, a number that
is not finite); then the article's four, Keras's own classes under the hood; last the narrator, which tells what the
others did.
"""

from types import TracebackType
from typing import Self

import keras

from shared.events import EventWriter
from shared.job import JobRecord
from shared.job_folder import AttemptFolder
from worker.training.callbacks.csv_log import CSVLog
from worker.training.callbacks.early_stopping import PatientStopping
from worker.training.callbacks.learning_rate import LearningRateLog
from worker.training.callbacks.model_checkpoint import WholeCheckpoint
from worker.training.callbacks.narrator import Narrator
from worker.training.callbacks.not_finite import NotFinite
from worker.training.callbacks.reduce_lr import ReduceLROnPlateau
from worker.training.callbacks.stopping import StopBetweenBatches
from worker.training.stop_requests import StopRequests


class Callbacks:
    """The callbacks of one run; as a context, closes what they hold open however the run ends."""

    def __init__(
        self,
        attempt: AttemptFolder,
        record: JobRecord,
        stop_requests: StopRequests,
        events: EventWriter,
    ) -> None:
        spec = record.spec.callbacks
        self.checkpoint = WholeCheckpoint(spec.model_checkpoint, attempt) if spec.model_checkpoint else None
        self.reduce_lr = ReduceLROnPlateau(spec.reduce_lr_on_plateau) if spec.reduce_lr_on_plateau else None
        self.early_stopping = PatientStopping(spec.early_stopping) if spec.early_stopping else None
        self.csv_log = CSVLog(spec.csv_logger, attempt.training_log) if spec.csv_logger else None
        self.narrator = Narrator(
            record.spec.hyperparameters.epochs, events, self.checkpoint, self.reduce_lr, self.early_stopping
        )
        ordered = [
            StopBetweenBatches(stop_requests),
            NotFinite(),
            LearningRateLog(),
            self.checkpoint,
            self.reduce_lr,
            self.early_stopping,
            self.csv_log,
            self.narrator,
        ]
        self.in_order: list[keras.callbacks.Callback] = [callback for callback in ordered if callback is not None]

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
