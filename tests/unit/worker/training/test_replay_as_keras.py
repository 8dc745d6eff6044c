"""The replay decides like Keras's own EarlyStopping, driven over the same rows with every patience, in epoch and value.

As in `test_same_decisions_as_keras`, a NaN is the one difference: Keras keeps a first NaN as the best forever, so the
reference is Keras with the worst value as its first best.
"""

import csv
import math
import os
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import keras
import pytest

from shared.replay import replay
from shared.spec import EarlyStoppingSpec

CURVES = Path(__file__).parents[3] / "data" / "curves"
# All of them take a minute: `make replay-as-keras`.
IS_WHOLE = "FITSTOP_ALL_CURVES" in os.environ
RANDOM_CURVES, RECORDED_CURVES = (150, 50) if IS_WHOLE else (30, 10)
PATIENCES = range(1, 31)


@dataclass
class Model:
    stop_training: bool = False


@dataclass
class Case:
    values: list[float]
    mode: str
    min_delta: float
    start_from_epoch: int


def recorded() -> list[Case]:
    """Return curves that the project trained, the shortest first, under settings of all kinds."""
    runs: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for path in sorted(CURVES.glob("*.csv")):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                runs[path.stem, row["run"], row["monitor"]].append(float(row["value"] or "nan"))
    chance = random.Random(1)
    shortest = sorted(runs, key=lambda name: len(runs[name]))[:RECORDED_CURVES]
    return [
        Case(
            runs[name],
            "max" if name[2] == "val_accuracy" else "min",
            chance.choice([0.0, 0.001, 0.01]),
            chance.choice([0, 0, 3, 12]),
        )
        for name in shortest
    ]


def invented() -> list[Case]:
    """Return curves with ties, steps of exactly min_delta, NaNs at the beginning and within, and huge values.

    An infinite value ends a run as diverged, so no history holds one.
    """
    chance = random.Random(2)
    cases = []
    for _ in range(RANDOM_CURVES):
        steps = chance.choice([[0.0, 0.001, -0.001], [0.1, -0.1, 0.0, 0.3], [0.01, -0.009, -0.011]])
        value, values = 0.5, []
        for _ in range(chance.randint(1, 32)):
            value += chance.choice(steps)
            odd = chance.random()
            values.append(math.nan if odd < 0.08 else 1e30 if odd < 0.09 else value)
        if chance.random() < 0.2:
            values[: chance.randint(1, 3)] = [math.nan]
        cases.append(
            Case(values, chance.choice(["min", "max"]), chance.choice([0, 0.001, 0.1]), chance.choice([0, 0, 5]))
        )
    return cases


def keras_decides(case: Case, patience: int) -> tuple[int | None, int | None, float | None]:
    """Return the epoch (from 1) after which Keras stops, None if it continues, with its best epoch and value."""
    stopping = keras.callbacks.EarlyStopping(
        monitor="value",
        mode=case.mode,
        patience=patience,
        min_delta=case.min_delta,
        start_from_epoch=case.start_from_epoch,
    )
    model = Model()
    stopping._model = model
    stopping.on_train_begin()
    worst = -math.inf if case.mode == "max" else math.inf
    first = case.values[case.start_from_epoch :][:1]
    if first and math.isnan(first[0]):
        stopping.best = worst
    for epoch, value in enumerate(case.values):
        stopping.on_epoch_end(epoch, {"value": value})
        if model.stop_training:
            break
    never = stopping.best is None or (first and math.isnan(first[0]) and stopping.best == worst)
    best = (None, None) if never else (stopping.best_epoch + 1, stopping.best)
    return (epoch + 1 if model.stop_training else None, *best)


@pytest.mark.parametrize("cases", [recorded, invented])
def test_every_patience_from_1_to_30_stops_where_keras_does_with_the_same_best(cases) -> None:
    for case in cases():
        spec = EarlyStoppingSpec(
            monitor="value",
            mode=case.mode,
            min_delta=case.min_delta,
            start_from_epoch=case.start_from_epoch,
        )
        past = replay(case.values, spec)
        for patience in PATIENCES:
            stop = past.stop(patience)
            last = stop.last_improvement if stop else past.last_improvement
            found = (last.epoch, last.value) if last else (None, None)
            assert (stop.epoch if stop else None, *found) == keras_decides(case, patience), case
