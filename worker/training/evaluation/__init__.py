"""Evaluates the best model once, after the last epoch.

    outputs.py   the model's outputs for the rows of one part
    classes.py   a classification: confusion matrix, classes, ROC curve, calibration
    numbers.py   a regression: residuals
    mistakes.py  the worst predictions

Time and size are limited. Between two batches it checks for requests to stop and the budget. If it fails, the job does
not fail.
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
    """Raised for a model or data that cannot be evaluated, with the reason."""


@dataclass(frozen=True)
class Subject:
    """A model, the rows to evaluate it on, and what its outputs mean.

    `outputs`: number of values predicted for a row. `classes`: the class names by number; None for a regression, and if
    the two classes are called negative and positive.
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
    """Write `evaluation.json` to the attempt's folder. Afterwards the model has the weights of the best checkpoint.

    An error becomes an event, because the job has been trained. Raises TrainingStopped and Superseded if a stop is
    requested, except when the budget is used up, which is also an event.
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

    evaluate(run, subject, best, callbacks.epoch_reporter.last_epoch, _between_batches(callbacks))


def evaluate(
    run: RunContext,
    find_subject: Callable[[], Subject],
    best: Checkpoint | None,
    last_epoch: int,
    keep_alive: Callable[[], None],
) -> None:
    """`evaluate_best` for any model. If `best` is None, the model already has the weights of `last_epoch`.

    `find_subject` may raise NotMeasurable. `keep_alive` is called between two batches, and may raise to stop.
    """
    try:
        run.keep_alive()
        evaluation = _compute(run, find_subject, best, last_epoch, keep_alive)
        replace_file(run.attempt.evaluation_file, encode(evaluation.model_dump(mode="json")))
        run.events.write([_event(evaluation)])
    except BudgetUsedUp:
        report_missing(run, "the budget is used up")
    except NotMeasurable as reason:
        report_missing(run, str(reason), "info")
    except (TrainingStopped, Superseded):
        raise
    except Exception as error:
        # The edge of the evaluation: an unexpected error becomes an event, with its traceback in output.log.
        log.exception("the best model could not be evaluated")
        report_missing(run, first_line(error))


def _compute(
    run: RunContext,
    find_subject: Callable[[], Subject],
    best: Checkpoint | None,
    last_epoch: int,
    keep_alive: Callable[[], None],
) -> Evaluation:
    began = time.monotonic()
    subject = find_subject()
    if best is not None:
        _load(run, subject.model, best, keep_alive)
    validation = measure_subject(subject, subject.validation, keep_alive)
    test = measure_subject(subject, subject.test, keep_alive) if subject.test is not None else None
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
    """A function to call between two batches: it sends a pulse, and checks what may stop the run."""
    steps = count(1)
    return lambda: callbacks.validated(next(steps))


def _load(run: RunContext, model: keras.Model, best: Checkpoint, keep_alive: Callable[[], None]) -> None:
    path = run.attempt.checkpoints / best.name
    if sha256_of(path, keep_alive) != best.sha256:
        raise ValueError(f"{best.name} does not match its hash")
    model.load_weights(path)


def measure_subject(subject: Subject, part: Part, keep_alive: Callable[[], None]) -> PartResult:
    """Predict the rows of a part, and compare with its targets. Raises what `keep_alive` raises, and ValueError."""
    predicted = predict(subject.model, subject.outputs, part, subject.batch_size, keep_alive)
    if subject.task == "regression":
        return measure_numbers(part, predicted)
    return measure_classes(part, predicted, subject.classes, from_logits=subject.from_logits)


def report_missing(run: RunContext, because: str, level: Level = "warning") -> None:
    """Write the event that reports why there is no evaluation."""
    run.events.write([Event("evaluation", f"the best model was not evaluated: {because}", {}, level)])


def _event(evaluation: Evaluation) -> Event:
    parts = {"validation": evaluation.validation, "test": evaluation.test}
    rows = {name: part.rows for name, part in parts.items() if part}
    counts = " and ".join(f"{count} {name} rows" for name, count in rows.items())
    message = f"evaluated the model of epoch {evaluation.epoch} on {counts} in {evaluation.seconds:.1f} s"
    facts = {"epoch": evaluation.epoch, "checkpoint": evaluation.checkpoint, "seconds": evaluation.seconds, **rows}
    metrics = {name: part.metrics for name, part in parts.items() if part}
    return Event("evaluation", message, {**facts, "metrics": metrics})
