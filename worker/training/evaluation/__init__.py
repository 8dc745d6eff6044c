"""How good the best model is: predicted, measured and written once, after the last epoch.

    outputs.py   the model's outputs for the rows of one part
    classes.py   a classification: confusion matrix, classes, ROC curve, calibration
    numbers.py   a regression: residuals
    mistakes.py  the worst predictions

It is bounded in time and size, heeds cancel, drain and budget between two batches, and fails no job.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import keras

from shared.durable import encode, replace_file
from shared.evaluation import Evaluation, PartResult
from shared.events import Event
from shared.times import utc_now
from worker.training.callbacks import Callbacks
from worker.training.context import RunContext
from worker.training.data.rows import Data, Part
from worker.training.errors import BudgetUsedUp, Superseded, TrainingStopped, first_line
from worker.training.evaluation.classes import measure_classes
from worker.training.evaluation.numbers import measure_numbers
from worker.training.evaluation.outputs import Predicted, predict
from worker.training.hashing import sha256_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Model:
    """The model that is evaluated: its file and epoch; the file is None for the weights of the last epoch."""

    checkpoint: str | None
    epoch: int


def evaluate_best(run: RunContext, model: keras.Model, data: Data, batch_size: int, callbacks: Callbacks) -> None:
    """Leave `evaluation.json` in the attempt's folder. The model has the weights of the best checkpoint afterwards.

    What goes wrong here is an event: the job is trained all the same. Raises TrainingStopped where somebody wants the
    run to stop, and Superseded.
    """
    try:
        run.go_on()
        began = time.monotonic()
        go_on = _between_batches(callbacks)
        chosen = _load_best(run, model, callbacks, go_on)

        def measure(part: Part) -> PartResult:
            return _measure(run, part, data, predict(model, part, batch_size, go_on))

        validation, test = measure(data.validation), measure(data.test) if data.test else None
        evaluation = Evaluation(
            computed_at=utc_now(),
            seconds=round(time.monotonic() - began, 3),
            task=run.record.data_task.kind,
            checkpoint=chosen.checkpoint,
            epoch=chosen.epoch,
            validation=validation,
            test=test,
        )
        replace_file(run.attempt.evaluation_file, encode(evaluation.model_dump(mode="json")))
        run.events.write([_event(evaluation)])
    except BudgetUsedUp:
        _say_missing(run, "the budget is used up")
    except (TrainingStopped, Superseded):
        raise
    except Exception as error:
        # The edge of the evaluation: what is not foreseen is recorded, with its trace in output.log.
        log.exception("the best model could not be evaluated")
        _say_missing(run, first_line(error))


def _between_batches(callbacks: Callbacks) -> Callable[[], None]:
    """What is done between two batches of a validation: a pulse, and a look at what may stop the run."""
    steps = count(1)
    return lambda: callbacks.validated(next(steps))


def _load_best(run: RunContext, model: keras.Model, callbacks: Callbacks, go_on: Callable[[], None]) -> _Model:
    manifest = callbacks.parts.checkpoints.manifest if callbacks.parts.checkpoints else None
    best = manifest.find(manifest.best) if manifest and manifest.best else None
    if best is None:
        return _Model(None, callbacks.narrator.last_epoch)
    path = run.attempt.checkpoints / best.name
    if sha256_of(path, go_on) != best.sha256:
        raise ValueError(f"{best.name} does not match its hash")
    model.load_weights(path)
    return _Model(best.name, best.epoch)


def _measure(run: RunContext, part: Part, data: Data, predicted: Predicted) -> PartResult:
    record = run.record
    loss = record.data_spec.hyperparameters.chosen_loss
    if record.data_task.kind == "regression":
        return measure_numbers(part, predicted)
    return measure_classes(part, predicted, data.classes, from_logits=bool(loss.from_logits))


def _say_missing(run: RunContext, because: str) -> None:
    run.events.write([Event("evaluation", f"the best model was not evaluated: {because}", {}, "warning")])


def _event(evaluation: Evaluation) -> Event:
    parts = {"validation": evaluation.validation, "test": evaluation.test}
    rows = {name: part.rows for name, part in parts.items() if part}
    counts = " and ".join(f"{count} {name} rows" for name, count in rows.items())
    message = f"evaluated the model of epoch {evaluation.epoch} on {counts} in {evaluation.seconds:.1f} s"
    facts = {"epoch": evaluation.epoch, "checkpoint": evaluation.checkpoint, "seconds": evaluation.seconds, **rows}
    metrics = {name: part.metrics for name, part in parts.items() if part}
    return Event("evaluation", message, {**facts, "metrics": metrics})
