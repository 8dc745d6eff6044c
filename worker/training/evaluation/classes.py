"""Evaluates a classification with scikit-learn: confusion matrix, classes, ROC curve, calibration, worst mistakes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.metrics import auc, confusion_matrix, precision_recall_fscore_support, roc_curve

from shared.evaluation import CalibrationBin, ClassResult, Confusion, Mistake, PartResult, Roc
from worker.training.data.rows import Part
from worker.training.evaluation.mistakes import MOST_MISTAKES, dataset_rows, thumbnails
from worker.training.evaluation.outputs import Predicted

MOST_CLASSES_IN_MATRIX = 100
_MOST_CONFUSIONS = 50
_CURVE_POINTS = 200
_BINS = 10
_LEAST_PROBABILITY = 1e-7

Numbers = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Judged:
    """For each row: `true` and predicted (`chosen`) class number, probability of each class, cross-entropy."""

    names: tuple[Any, ...]
    true: Numbers
    chosen: Numbers
    shares: Probabilities
    losses: Probabilities


def measure_classes(
    part: Part, predicted: Predicted, classes: Sequence[Any] | None, *, from_logits: bool
) -> PartResult:
    """Compare the predicted classes with the targets. Without `classes` there are two, negative and positive."""
    names = tuple(classes) if classes is not None else ("negative", "positive")
    true = class_numbers(part.targets[part.numbers_of(predicted.rows)])
    shares = probabilities(predicted.outputs, from_logits=from_logits)
    chosen = chosen_classes(shares)
    losses = _losses(true, shares)
    matrix = confusion_matrix(true, chosen, labels=np.arange(len(names)))
    is_binary = len(names) == 2
    roc = _roc(true, shares[:, 1]) if is_binary else None
    results = _classes(names, true, chosen, matrix)
    return PartResult(
        rows=len(true),
        of=len(part),
        metrics=_metrics(matrix, results, losses, roc),
        classes=results,
        confusion=tuple(map(tuple, matrix.tolist())) if len(names) <= MOST_CLASSES_IN_MATRIX else None,
        most_confused=_most_confused(matrix),
        roc=roc,
        calibration=_calibration(true, shares[:, 1]) if is_binary else None,
        mistakes=_mistakes(part, predicted, _Judged(names, true, chosen, shares, losses)),
    )


def class_numbers(targets: npt.NDArray[Any]) -> Numbers:
    """The class number of each row, from targets with one column of numbers or one column for each class."""
    return targets.ravel().astype(np.int64) if targets.shape[1] == 1 else targets.argmax(axis=1)


def probabilities(outputs: npt.NDArray[np.float32], *, from_logits: bool) -> Probabilities:
    """The probability of each class, float64 of shape (rows, classes), from one output or one for each class."""
    numbers = outputs.astype(np.float64)
    if outputs.shape[1] > 1:
        return np.asarray(tf.nn.softmax(numbers) if from_logits else numbers)
    positive = np.asarray(tf.sigmoid(numbers[:, 0])) if from_logits else numbers[:, 0]
    return np.stack([1 - positive, positive], axis=1)


def chosen_classes(shares: Probabilities) -> Numbers:
    """The predicted class number of each row, as in Keras's metrics: of two, 1 above 0.5; else the most probable."""
    return (shares[:, 1] > 0.5).astype(np.int64) if shares.shape[1] == 2 else shares.argmax(axis=1)


def _classes(names: Sequence[Any], true: Numbers, chosen: Numbers, matrix: Numbers) -> tuple[ClassResult, ...]:
    precision, recall, f1, support = precision_recall_fscore_support(
        true, chosen, labels=np.arange(len(names)), zero_division=np.nan
    )
    return tuple(
        ClassResult(
            name=name,
            support=int(support[number]),
            predicted=int(matrix[:, number].sum()),
            precision=_finite(precision[number]),
            recall=_finite(recall[number]),
            f1=_finite(f1[number]),
        )
        for number, name in enumerate(names)
    )


def _metrics(
    matrix: Numbers, results: Sequence[ClassResult], losses: Probabilities, roc: Roc | None
) -> dict[str, float | None]:
    scores = [one.f1 for one in results if one.support]
    metrics = {
        "accuracy": _finite(np.trace(matrix) / len(losses)),
        "macro_f1": _finite(np.mean([score or 0.0 for score in scores])) if scores else None,
        "log_loss": _finite(np.mean(losses)),
    }
    return {**metrics, "auc": roc.auc} if roc else metrics


def _losses(true: Numbers, shares: Probabilities) -> Probabilities:
    """The cross-entropy of each row."""
    of_true = shares[np.arange(len(true)), true]
    return np.asarray(-np.log(np.clip(of_true, _LEAST_PROBABILITY, 1.0)))


def _most_confused(matrix: Numbers) -> tuple[Confusion, ...]:
    mistaken = matrix.copy()
    np.fill_diagonal(mistaken, 0)
    order = np.argsort(mistaken, axis=None, kind="stable")[::-1][:_MOST_CONFUSIONS]
    places = [divmod(int(place), len(matrix)) for place in order]
    return tuple(
        Confusion(true=true, predicted=predicted, rows=int(mistaken[true, predicted]))
        for true, predicted in places
        if mistaken[true, predicted]
    )


def _roc(true: Numbers, positive: Probabilities) -> Roc | None:
    """The ROC curve with at most 200 points; None if a class has no row."""
    if len(np.unique(true)) < 2:
        return None
    false_rate, true_rate, _ = roc_curve(true, positive)
    kept = np.unique(np.linspace(0, len(false_rate) - 1, _CURVE_POINTS).round().astype(int))
    return Roc(
        auc=float(auc(false_rate, true_rate)),
        false_positive_rate=tuple(false_rate[kept].round(5).tolist()),
        true_positive_rate=tuple(true_rate[kept].round(5).tolist()),
    )


def _calibration(true: Numbers, positive: Probabilities) -> tuple[CalibrationBin, ...] | None:
    """Bins of equal width. scikit-learn's `calibration_curve` would leave out their numbers of rows."""
    if positive.min() < 0 or positive.max() > 1:
        return None
    bins = np.searchsorted(np.linspace(0, 1, _BINS + 1)[1:-1], positive)
    rows = np.bincount(bins, minlength=_BINS)
    sums, positives = (np.bincount(bins, weights=one, minlength=_BINS) for one in (positive, true))
    return tuple(
        CalibrationBin(
            rows=int(rows[one]),
            mean_predicted=float(sums[one] / rows[one]),
            fraction_positive=positives[one] / rows[one],
        )
        for one in np.flatnonzero(rows)
    )


def _mistakes(part: Part, predicted: Predicted, judged: _Judged) -> tuple[Mistake, ...]:
    losses = np.where(judged.chosen == judged.true, -np.inf, judged.losses)
    worst = [place for place in np.argsort(-losses, kind="stable")[:MOST_MISTAKES].tolist() if losses[place] > -np.inf]
    rows = predicted.rows[worst]
    shown = zip(worst, dataset_rows(part, rows), thumbnails(part, rows), strict=True)
    return tuple(
        Mistake(
            row=row,
            true=judged.names[judged.true[place]],
            predicted=judged.names[judged.chosen[place]],
            probability=float(judged.shares[place, judged.chosen[place]]),
            loss=float(losses[place]),
            thumbnail=thumbnail,
        )
        for place, row, thumbnail in shown
    )


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
