"""The best model of a script, for its evaluation: which call of `fit` trained it, and what it predicts.

A script does not declare a task. The loss of the compiled model says whether it predicts classes or numbers, and the
shapes of outputs and targets must agree with that.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from shared.manifest import Checkpoint, read_manifest
from shared.task import TaskKind, task_of_loss
from worker.training.callbacks import Callbacks
from worker.training.context import RunContext
from worker.training.data.rows import Array, Data, Part
from worker.training.evaluation import NotMeasurable, Subject, evaluate, report_missing
from worker.training.program.arrays import NotRows, TreePart, read_validation

# With more classes, the confusion matrix takes 8 MB or more.
MOST_CLASSES = 1000
_USUAL_BATCH = 32
_NEW_WORD = re.compile("(?<!^)(?=[A-Z])")


@dataclass(frozen=True)
class MadeModel:
    """The job's best model, its checkpoint, and the validation rows of its call of `fit`; None if not in arrays."""

    model: keras.Model
    checkpoint: Checkpoint
    validation: TreePart | None
    batch_size: int

    def subject(self) -> Subject:
        """The model and the rows to evaluate. Raises NotMeasurable."""
        if self.validation is None:
            raise NotMeasurable("its call of fit has no validation data in arrays")
        part = _without_weights(self.validation)
        meaning = partial(Subject, self.model, batch_size=self.batch_size, validation=part)
        outputs, loss = _count_outputs(self.model, part), _loss_of(self.model)
        task = task_of_loss(loss)  # type: ignore[arg-type]
        if task is None:
            raise NotMeasurable(f"the loss {loss} does not say what the predictions mean")
        _check_targets(task, outputs, part.targets)
        if task == "regression":
            return meaning(task=task, outputs=outputs)
        return meaning(
            task="binary" if outputs <= 2 else "multiclass",
            outputs=outputs,
            classes=range(max(outputs, 2)),
            from_logits=_from_logits(self.model),
        )


def find_best_of_call(
    epochs_before: int, callbacks: Callbacks, model: keras.Model, data: Data | None, arguments: Mapping[str, Any]
) -> MadeModel | None:
    """The job's best model, if the call of `fit` that has just ended trained it; None otherwise.

    `epochs_before`: epochs of all earlier calls.
    """
    assert callbacks.parts.checkpoints is not None
    manifest = callbacks.parts.checkpoints.manifest
    best = manifest.find(manifest.best) if manifest.best else None
    if best is None or best.epoch <= epochs_before:
        return None
    rows = data.validation if data is not None else _rows_of(arguments["validation_data"])
    assert rows is None or isinstance(rows, TreePart)
    batch_size = int(arguments["validation_batch_size"] or arguments["batch_size"] or _USUAL_BATCH)
    return MadeModel(model, best, rows or None, batch_size)


def _rows_of(validation_data: Any) -> Part | None:
    """The validation rows of a call whose training data is not arrays."""
    try:
        return read_validation(validation_data)
    except NotRows:
        return None


def evaluate_made_model(run: RunContext, made: MadeModel | None) -> None:
    """Write the evaluation of a script's best model, or an event that says why there is none.

    Raises what `evaluate` raises.
    """
    best = read_manifest(run.attempt.manifest_file).best
    if best is None:
        report_missing(run, "no checkpoint of it was saved", "info")
    elif made is None or made.checkpoint.name != best:
        # Two calls of `fit` have different monitors.
        report_missing(run, "the rows of its call of fit were not kept", "info")
    else:
        evaluate(run, made.subject, made.checkpoint, made.checkpoint.epoch, run.keep_alive)


def _without_weights(part: TreePart) -> TreePart:
    """The rows without sample weights, the targets as an array of shape (rows, outputs). Raises NotMeasurable."""
    packed: Any = part.batch(part.arrays)
    x, *rest = packed if isinstance(packed, tuple) else (packed,)
    targets = tree.flatten(rest[0]) if rest else []
    if len(targets) != 1 or targets[0].dtype.kind not in "biuf" or targets[0].ndim > 2:
        raise NotMeasurable("the validation data has not one number or class for each row and output")
    structure = tree.map_structure(lambda _: 0, (x, targets[0]))
    inputs = {str(number): leaf for number, leaf in enumerate(tree.flatten(x))}
    return TreePart(inputs=inputs, targets=targets[0].reshape(len(part), -1), structure=structure)


def _count_outputs(model: keras.Model, part: TreePart) -> int:
    """Count the values that the model predicts for a row. Raises NotMeasurable if they have more than one axis."""
    x, *_ = part.batch([tf.constant(one) for one in part.take(slice(0, 2))])
    output = model(x, training=False)
    if not tf.is_tensor(output) or output.shape.rank not in {1, 2}:
        raise NotMeasurable("the model predicts more than one list of numbers for a row")
    return 1 if output.shape.rank == 1 else int(output.shape[-1])


def _loss_of(model: keras.Model) -> str:
    """The name of Keras's loss that the model was compiled with."""
    loss = model.loss
    if isinstance(loss, str) or (loss is not None and not isinstance(loss, list | dict)):
        found = keras.losses.get(loss)
        kind = type(found) if isinstance(found, keras.losses.Loss) else found
        if str(kind.__module__).startswith("keras."):
            return _NEW_WORD.sub("_", kind.__name__).lower()
    raise NotMeasurable("the model was not compiled with one loss of Keras's")


def _from_logits(model: keras.Model) -> bool:
    loss = model.loss
    return isinstance(loss, keras.losses.Loss) and bool(loss.get_config().get("from_logits"))


def _check_targets(task: TaskKind, outputs: int, targets: Array) -> None:
    """Raise NotMeasurable if the targets do not match the model's predictions."""
    columns = targets.shape[1]
    if task == "regression":
        if columns != outputs:
            raise NotMeasurable(f"the model predicts {outputs} numbers for a row, and the targets have {columns}")
        return
    if (task == "binary") != (outputs == 1) or columns not in {1, outputs}:
        raise NotMeasurable(f"the model predicts {outputs} numbers for a row of one class")
    if outputs > MOST_CLASSES:
        raise NotMeasurable(f"it has {outputs} classes, more than {MOST_CLASSES}")
    most = max(outputs, 2) - 1
    if columns == 1 and not (np.equal(np.mod(targets, 1), 0).all() and targets.min() >= 0 and targets.max() <= most):
        raise NotMeasurable(f"the targets are not the numbers of classes, from 0 to {most}")
