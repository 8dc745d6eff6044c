"""The callbacks that decide about a run, from a spec or a script, and what Fitstop's other callbacks need from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import keras

from shared.progress import Patience, PlateauWait
from shared.spec import Callbacks as CallbacksSpec
from worker.training.callbacks.csv_log import CSVLog
from worker.training.callbacks.early_stopping import PatientStopping
from worker.training.callbacks.learning_rate import LearningRateLog
from worker.training.callbacks.learning_rate_schedule import LearningRateSchedule
from worker.training.callbacks.model_checkpoint import WholeCheckpoint
from worker.training.callbacks.reduce_lr import Drop, ReduceLROnPlateau
from worker.training.context import RunContext
from worker.training.resume.parts import Stateful


class Stopping(Protocol):
    """Early stopping, for events and the evidence of a stop."""

    @property
    def has_stopped(self) -> bool:
        """Whether it has ended the run."""

    def patience_used(self, epoch: int, epochs: int) -> Patience:
        """How much of the patience is used after `epoch` (from 1) of `epochs`."""


class Plateau(Protocol):
    """ReduceLROnPlateau, for events."""

    @property
    def drop(self) -> Drop | None:
        """The reduction at the end of the last epoch, if any."""

    def plateau_wait(self) -> PlateauWait:
        """Number of epochs since the last improvement, and the patience."""


@dataclass(frozen=True)
class Rules:
    """`in_order`: the callbacks that decide, in their order. One of them adds the learning rate to each epoch's logs.

    `stateful`: those whose state a resume point saves, by name. `saves_inside_epochs`: whether the run may be saved
    between two batches. `unsaved_step`: number of batches of an epoch after which it may not, until the epoch's end.
    """

    in_order: Sequence[keras.callbacks.Callback]
    stateful: Mapping[str, Stateful]
    checkpoint: WholeCheckpoint | None = None
    reduce_lr: Plateau | None = None
    early_stopping: Stopping | None = None
    csv_log: CSVLog | None = None
    saves_inside_epochs: bool = True
    unsaved_step: int | None = None


def make_rules(run: RunContext) -> Rules:
    """Make the callbacks of a job that names its data and model, in the order in which they act."""
    spec: CallbacksSpec = run.record.data_spec.callbacks
    checkpoint = WholeCheckpoint(spec.model_checkpoint, run) if spec.model_checkpoint else None
    reduce_lr = ReduceLROnPlateau(spec.reduce_lr_on_plateau) if spec.reduce_lr_on_plateau else None
    rate, schedule = run.record.data_spec.hyperparameters.learning_rate, spec.learning_rate_schedule
    early_stopping = PatientStopping(spec.early_stopping) if spec.early_stopping else None
    csv_log = CSVLog(spec.csv_logger, run.attempt.training_log) if spec.csv_logger else None
    ordered = (
        LearningRateLog(),
        LearningRateSchedule(schedule, rate) if schedule else None,
        checkpoint,
        reduce_lr,
        early_stopping,
        csv_log,
    )
    named: dict[str, Stateful | None] = {
        "model_checkpoint": checkpoint,
        "reduce_lr_on_plateau": reduce_lr,
        "early_stopping": early_stopping,
        "csv_logger": csv_log,
    }
    return Rules(
        in_order=[callback for callback in ordered if callback is not None],
        stateful={name: callback for name, callback in named.items() if callback is not None},
        checkpoint=checkpoint,
        reduce_lr=reduce_lr,
        early_stopping=early_stopping,
        csv_log=csv_log,
    )
