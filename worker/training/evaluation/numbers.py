"""Evaluates a regression: residuals, their distribution, and the rows with the largest ones."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import mean_absolute_error, median_absolute_error, r2_score, root_mean_squared_error

from shared.evaluation import Mistake, PartResult, Residuals, Value
from worker.training.data.rows import Part
from worker.training.evaluation.mistakes import MOST_MISTAKES, dataset_rows
from worker.training.evaluation.outputs import Predicted

_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_BINS = 40
_PAIRS = 300
_MOST_OUTPUTS = 8

Numbers = npt.NDArray[np.float64]


def measure_numbers(part: Part, predicted: Predicted) -> PartResult:
    """Measure predictions of numbers, with all outputs of a row together."""
    true = np.asarray(part.targets[part.numbers_of(predicted.rows)], np.float64)
    outputs = predicted.outputs.astype(np.float64)
    return PartResult(
        rows=len(true),
        of=len(part),
        metrics=_metrics(true, outputs),
        residuals=_residuals(true, outputs),
        mistakes=_mistakes(part, predicted, true, outputs),
    )


def _metrics(true: Numbers, outputs: Numbers) -> dict[str, float | None]:
    return {
        "mae": float(mean_absolute_error(true, outputs)),
        "rmse": float(root_mean_squared_error(true, outputs)),
        "median_absolute_error": float(median_absolute_error(true, outputs)),
        "r2": float(r2_score(true, outputs)) if len(true) > 1 else None,
    }


def _residuals(true: Numbers, outputs: Numbers) -> Residuals:
    residuals = (true - outputs).ravel()
    rows, edges = np.histogram(residuals, _BINS)
    kept = np.unique(np.linspace(0, len(residuals) - 1, _PAIRS).round().astype(int))
    return Residuals(
        mean=float(residuals.mean()),
        std=float(residuals.std()),
        quantiles={f"{one:g}": float(np.quantile(residuals, one)) for one in _QUANTILES},
        edges=tuple(edges.tolist()),
        rows=tuple(rows.tolist()),
        pairs=tuple(zip(true.ravel()[kept].tolist(), outputs.ravel()[kept].tolist(), strict=True)),
    )


def _mistakes(part: Part, predicted: Predicted, true: Numbers, outputs: Numbers) -> tuple[Mistake, ...]:
    errors = np.abs(true - outputs).mean(axis=1)
    worst = np.argsort(-errors, kind="stable")[:MOST_MISTAKES]
    rows = dataset_rows(part, predicted.rows[worst])
    return tuple(
        Mistake(
            row=row,
            true=_value(true[place]),
            predicted=_value(outputs[place]),
            probability=None,
            loss=float(errors[place]),
        )
        for place, row in zip(worst.tolist(), rows, strict=True)
    )


def _value(row: npt.NDArray[Any]) -> Value:
    return float(row[0]) if len(row) == 1 else tuple(row[:_MOST_OUTPUTS].tolist())
