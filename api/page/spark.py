"""A job's curve in a few numbers, for a sparkline."""

from collections.abc import Sequence

from shared.epoch_columns import EpochTold
from shared.history import JobHistory

MOST_POINTS = 32


def spark_of(history: JobHistory, monitor: str) -> list[float | None]:
    """At most MOST_POINTS values of a metric, evenly spaced over the run, with the first and the last.

    They have four significant digits: more are not visible, and a hundred curves are sent every two seconds.
    """
    return [_round(one.metrics.get(monitor)) for one in _sample(history)]


def _sample(history: JobHistory) -> Sequence[EpochTold]:
    if len(history.attempts) == 1:
        # All epochs are in one attempt, so only the shown ones are read.
        rows = history.attempts[0].epochs
        return [rows.row(place) for place in _places(len(rows))]
    epochs = history.epochs()
    return [epochs[place] for place in _places(len(epochs))]


def _places(count: int) -> list[int]:
    shown = min(count, MOST_POINTS)
    return [round(index * (count - 1) / max(1, shown - 1)) for index in range(shown)]


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
