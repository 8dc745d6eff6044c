"""A job's curve in a few numbers, for a picture as small as a word."""

from collections.abc import Sequence

from shared.epoch_columns import EpochTold
from shared.history import JobHistory

MOST_POINTS = 32


def spark_of(history: JobHistory, monitor: str) -> list[float | None]:
    """At most MOST_POINTS values of a metric, evenly spread over the run, the first and the last among them.

    To four digits that matter: nobody sees more of it, and a hundred of these are sent every two seconds.
    """
    return [_round(told.metrics.get(monitor)) for told in _sample(history)]


def _sample(history: JobHistory) -> Sequence[EpochTold]:
    if len(history.attempts) == 1:
        # The run is the attempt's epochs, so only those that are shown are looked at.
        rows = history.attempts[0].epochs
        return [rows.row(place) for place in _places(len(rows))]
    told = history.epochs()
    return [told[place] for place in _places(len(told))]


def _places(count: int) -> list[int]:
    shown = min(count, MOST_POINTS)
    return [round(index * (count - 1) / max(1, shown - 1)) for index in range(shown)]


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
