"""An evaluation as a training process writes it, but without a training process."""

from typing import Any

import numpy as np

from shared.durable import encode, replace_file
from shared.evaluation import Evaluation
from shared.job_folder import AttemptFolder
from shared.times import utc_now
from worker.training.data.rows import Part
from worker.training.evaluation.classes import measure_classes
from worker.training.evaluation.numbers import measure_numbers
from worker.training.evaluation.outputs import Predicted


def classified(names: tuple[Any, ...], true: list[int], outputs: list[list[float]], pictures: Any = None) -> Any:
    """The evaluation of predictions for rows with these class numbers; `pictures` are their images."""
    inputs = {"image": np.zeros((len(true), 1), np.float32) if pictures is None else pictures}
    part = Part(inputs, np.array(true, np.int32)[:, None])
    predicted = Predicted(np.arange(len(true)), np.array(outputs, np.float32))
    return measure_classes(part, predicted, names, from_logits=False)


def measured_numbers(true: list[float], outputs: list[float]) -> Any:
    """The evaluation of predicted numbers."""
    part = Part({"rows": np.zeros((len(true), 1), np.float32)}, np.array(true, np.float32)[:, None])
    return measure_numbers(part, Predicted(np.arange(len(true)), np.array(outputs, np.float32)[:, None]))


def leave_evaluation(attempt: AttemptFolder, task: Any, validation: Any, test: Any = None) -> Evaluation:
    """Write the `evaluation.json` of a model of epoch 3."""
    evaluation = Evaluation(
        computed_at=utc_now(), seconds=0.5, task=task, checkpoint=None, epoch=3, validation=validation, test=test
    )
    replace_file(attempt.evaluation_file, encode(evaluation.model_dump(mode="json")))
    return evaluation
