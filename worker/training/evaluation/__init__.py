"""How good the best model is: predicted, measured and written once, after the last epoch.

    outputs.py   the model's outputs for the rows of one part
    classes.py   a classification: confusion matrix, classes, ROC curve, calibration
    numbers.py   a regression: residuals
    mistakes.py  the worst predictions

It is bounded in time and size, heeds cancel, drain and budget between two batches, and fails no job.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import keras

from shared.durable import encode, replace_file
from shared.evaluation import Evaluation, PartResult
from shared.events import Event, Level
from shared.manifest import Checkpoint
from shared.task import TaskKind
from shared.times import utc_now
from worker.training.callbacks import Callbacks
from worker.training.context import RunContext
from worker.training.data.rows import Data, Part
from worker.training.errors import BudgetUsedUp, Superseded, TrainingStopped, first_line
from worker.training.evaluation.classes import measure_classes
from worker.training.evaluation.numbers import measure_numbers
from worker.training.evaluation.outputs import predict
from worker.training.hashing import sha256_of

log = logging.getLogger(__name__)


class NotMeasurable(Exception):
    """A model, or data, that nobody measures; why."""


@dataclass(frozen=True)
class Subject:
    """A model, the rows that it is measured on, and what its `outputs` numbers for a row mean.

    `classes` are those of a classification; None for a regression, and for the two that are called negative and
    positive.
    """

    model: keras.Model
    task: TaskKind
    outputs: int
    batch_size: int
    validation: Part
    test: Part | None = None
    classes: Sequence[Any] | None = None
    from_logits: bool = False


def evaluate_best(run: RunContext, model: keras.Model, data: Data, batch_size: int, callbacks: Callbacks) -> None:
    """Leave `evaluation.json` in the attempt's folder. The model has the weights of the best checkpoint afterwards.

    What goes wrong here is an event: the job is trained all the same. Raises TrainingStopped where somebody wants the
    run to stop, and Superseded.
    """
    manifest = callbacks.parts.checkpoints.manifest if callbacks.parts.checkpoints else None
    best = manifest.find(manifest.best) if manifest and manifest.best else None

    def subject() -> Subject:
        return Subject(
            model=model,
            task=run.record.data_task.kind,
            outputs=int(model.output_shape[-1]),
            batch_size=batch_size,
            validation=data.validation,
            test=data.test or None,
            classes=data.classes,
            from_logits=bool(run.record.data_spec.hyperparameters.chosen_loss.from_logits),
        )

    evaluate(run, subject, best, callbacks.narrator.last_epoch, _between_batches(callbacks))


def evaluate(
    run: RunContext,
    find_subject: Callable[[], Subject],
    best: Checkpoint | None,
    last_epoch: int,
    go_on: Callable[[], None],
) -> None:
    """The same of any model; without a checkpoint `best` with the weights of `last_epoch`, which it has.

    `find_subject` may raise NotMeasurable. `go_on` is called between two batches and stops it by raising.
    """
    try:
        run.go_on()
        evaluation = _compute(run, find_subject, best, last_epoch, go_on)
        replace_file(run.attempt.evaluation_file, encode(evaluation.model_dump(mode="json")))
        run.events.write([_event(evaluation)])
    except BudgetUsedUp:
        report_missing(run, "the budget is used up")
    except NotMeasurable as reason:
        report_missing(run, str(reason), "info")
    except (TrainingStopped, Superseded):
        raise
    except Exception as error:
        # The edge of the evaluation: what is not foreseen is recorded, with its trace in output.log.
        log.exception("the best model could not be evaluated")
        report_missing(run, first_line(error))


def _compute(
    run: RunContext,
    find_subject: Callable[[], Subject],
    best: Checkpoint | None,
    last_epoch: int,
    go_on: Callable[[], None],
) -> Evaluation:
    began = time.monotonic()
    subject = find_subject()
    if best is not None:
        _load(run, subject.model, best, go_on)
    validation = measure_subject(subject, subject.validation, go_on)
    test = measure_subject(subject, subject.test, go_on) if subject.test is not None else None
    return Evaluation(
        computed_at=utc_now(),
        seconds=round(time.monotonic() - began, 3),
        task=subject.task,
        checkpoint=best.name if best else None,
        epoch=best.epoch if best else last_epoch,
        validation=validation,
        test=test,
    )


def _between_batches(callbacks: Callbacks) -> Callable[[], None]:
    """What is done between two batches of a validation: a pulse, and a look at what may stop the run."""
    steps = count(1)
    return lambda: callbacks.validated(next(steps))


def _load(run: RunContext, model: keras.Model, best: Checkpoint, go_on: Callable[[], None]) -> None:
    path = run.attempt.checkpoints / best.name
    if sha256_of(path, go_on) != best.sha256:
        raise ValueError(f"{best.name} does not match its hash")
    model.load_weights(path)


def measure_subject(subject: Subject, part: Part, go_on: Callable[[], None]) -> PartResult:
    """Have the model predict the rows of a part, and compare. Raises what `go_on` raises, and ValueError."""
    predicted = predict(subject.model, subject.outputs, part, subject.batch_size, go_on)
    if subject.task == "regression":
        return measure_numbers(part, predicted)
    return measure_classes(part, predicted, subject.classes, from_logits=subject.from_logits)


def report_missing(run: RunContext, because: str, level: Level = "warning") -> None:
    """Write the event that says why there is no evaluation."""
    run.events.write([Event("evaluation", f"the best model was not evaluated: {because}", {}, level)])


def _event(evaluation: Evaluation) -> Event:
    parts = {"validation": evaluation.validation, "test": evaluation.test}
    rows = {name: part.rows for name, part in parts.items() if part}
    counts = " and ".join(f"{count} {name} rows" for name, count in rows.items())
    message = f"evaluated the model of epoch {evaluation.epoch} on {counts} in {evaluation.seconds:.1f} s"
    facts = {"epoch": evaluation.epoch, "checkpoint": evaluation.checkpoint, "seconds": evaluation.seconds, **rows}
    metrics = {name: part.metrics for name, part in parts.items() if part}
    return Event("evaluation", message, {**facts, "metrics": metrics})
