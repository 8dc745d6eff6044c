"""Columns that a person may choose for the table of jobs: hyperparameters, metrics, metadata, by name."""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.problems import cut
from shared.progress import EpochProgress
from shared.spec import JobSpec, ProgramJobSpec

Value = str | int | float | bool | None

METRICS, METADATA = "metrics.", "metadata."
MOST_NAME = 200
_MOST_LIST = 16
_MOST_TEXT = 80
# The parts of a spec that decide how a job trains.
PARTS = ("dataset", "model", "hyperparameters", "callbacks", "budget", "program")
# The config of a Keras model, and lists of columns: too long for a cell.
_LEFT_OUT = frozenset({"model.config", "dataset.drop_columns", "dataset.categorical"})


def spec_values(spec: JobSpec | ProgramJobSpec) -> dict[str, Value]:
    """The values of a spec by their path, such as `hyperparameters.batch_size`, and its metadata."""
    document = spec.model_dump(mode="json", include=set(PARTS))
    found = dict(_flat("", document))
    return found | {f"{METADATA}{name}": cut(value, _MOST_TEXT) for name, value in spec.metadata.items()}


def metric_values(progress: EpochProgress | None) -> dict[str, Value]:
    """The metrics of the last epoch."""
    if progress is None:
        return {}
    return {**{f"{METRICS}{name}": value for name, value in progress.metrics.items()}, **_rate(progress)}


def _rate(progress: EpochProgress) -> dict[str, Value]:
    return {f"{METRICS}learning_rate": progress.learning_rate}


def _flat(place: str, value: Any) -> Iterator[tuple[str, Value]]:
    if place in _LEFT_OUT:
        return
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _flat(f"{place}.{name}" if place else str(name), one)
    elif isinstance(value, list):
        if len(value) <= _MOST_LIST and not any(isinstance(one, list | dict) for one in value):
            yield place, cut(", ".join(map(str, value)), _MOST_TEXT)
    elif place:
        yield place, cut(value, _MOST_TEXT) if isinstance(value, str) else value
