"""Train the curves that forecasts are scored on: `python -m proofs.record_curves --wine FOLDER`.

Every run is a job, trained by `worker.training` on a data set that scikit-learn ships or generates, or on one of the
public wine-quality files in FOLDER. It has its own seed, split, width and learning rate, and a patience of 20, so that
any smaller patience can be evaluated later. One row for each epoch is kept: the value that the job monitors.
"""

import argparse
import csv
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pandas as pd
from sklearn import datasets

from shared.events import read_events
from shared.volume import Volume
from tests.support.jobs import claim, put_dataset, put_job
from worker.training.run import run
from worker.training.stop_requests import StopRequests

FOLDER = Path(__file__).parents[1] / "tests" / "data" / "curves"
RUNS = 8
EPOCHS = 150
PATIENCE = 20
_CLASSES = {
    "n_informative": 6,
    "n_redundant": 4,
    "n_classes": 3,
    "n_clusters_per_class": 2,
    "flip_y": 0.1,
    "random_state": 4,
}
COLUMNS = ("run", "monitor", "epoch", "value")


def main() -> int:
    """Record every run that does not exist yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wine", type=Path, required=True, help="where winequalityN.csv and its two parts are")
    asked = parser.parse_args()
    for number in range(RUNS):
        for name, (frame, target, batch) in data_sets(asked.wine).items():
            if number not in _recorded(name):
                with tempfile.TemporaryDirectory() as folder:
                    volume = Volume(Path(folder))
                    put_dataset(volume, frame(), name)
                    _append(name, _trained(volume, name, target, batch, number))
    return 0


def _recorded(name: str) -> set[int]:
    if not (FOLDER / f"{name}.csv").exists():
        return set()
    with (FOLDER / f"{name}.csv").open(newline="") as file:
        return {int(row["run"]) for row in csv.DictReader(file)}


def _append(name: str, rows: list[tuple[Any, ...]]) -> None:
    is_new = not (FOLDER / f"{name}.csv").exists()
    with (FOLDER / f"{name}.csv").open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([COLUMNS, *rows] if is_new else rows)
    sys.stdout.write(f"{name} {rows[0][0]}: {len(rows)} epochs of {rows[0][1]}\n")
    sys.stdout.flush()


def data_sets(wine: Path) -> dict[str, tuple[Callable[[], pd.DataFrame], dict[str, Any], int]]:
    """The function that returns the frame, the target, and the batch size, by name."""
    good = {"target": "quality", "positive": {"at_least": 6}}
    made = {"target": "target"}
    return {
        "wine-quality": (lambda: pd.read_csv(wine / "winequalityN.csv").dropna(), good, 256),
        "breast-cancer": (lambda: _bundled(datasets.load_breast_cancer), {"target": "target"}, 64),
        "iris": (lambda: _bundled(datasets.load_iris), {"target": "target"}, 16),
        "diabetes": (lambda: _bundled(datasets.load_diabetes), {"target": "target"}, 64),
        "wine-red": (lambda: pd.read_csv(wine / "winequality-red.csv", sep=";"), good, 128),
        "digits": (lambda: _bundled(datasets.load_digits), {"target": "target"}, 128),
        "wine-cultivars": (lambda: _bundled(datasets.load_wine), {"target": "target"}, 32),
        "wine-white": (lambda: pd.read_csv(wine / "winequality-white.csv", sep=";"), {"target": "quality"}, 256),
        "moons": (lambda: _made(datasets.make_moons(600, noise=0.3, random_state=1)), made, 32),
        "friedman": (lambda: _made(datasets.make_friedman1(1000, noise=1.0, random_state=2)), made, 64),
        "hastie": (lambda: _made(datasets.make_hastie_10_2(1500, random_state=3)), made, 128),
        "classification": (lambda: _made(datasets.make_classification(1200, **_CLASSES)), made, 64),
    }


def _made(columns: tuple[Any, Any]) -> pd.DataFrame:
    """A frame of features x0, x1, … and a target."""
    features, target = columns
    named = {f"x{number}": features[:, number] for number in range(features.shape[1])}
    return pd.DataFrame({**named, "target": target})


def _bundled(load: Callable[..., Any]) -> pd.DataFrame:
    frame = load(as_frame=True).frame
    return frame.rename(columns={name: name.replace("/", " ") for name in frame.columns})


def _trained(volume: Volume, name: str, target: dict[str, Any], batch: int, number: int) -> list[tuple[Any, ...]]:
    """Train one run and return its rows. Odd runs monitor the validation loss, even ones the target's default."""
    chance = random.Random(f"{name} {number}")
    stopping: dict[str, Any] = {"patience": PATIENCE}
    if number % 2:
        stopping.update(monitor="val_loss", mode="min")
    job = put_job(
        volume,
        {
            "dataset": {"id": name, **target, "split_seed": number},
            "model": {
                "layers": chance.choice([[64, 64, 64], [32], [16, 16], [128]]),
                "dropout": chance.choice([0.0, 0.0, 0.2]),
            },
            "hyperparameters": {
                "epochs": EPOCHS,
                "batch_size": batch,
                "seed": number,
                "learning_rate": chance.choice([0.0005, 0.001, 0.002, 0.004]),
            },
            "callbacks": {"early_stopping": stopping, "model_checkpoint": None},
        },
    )
    attempt = claim(job)
    run(attempt, StopRequests(attempt, 3600))
    keras.utils.clear_session(free_memory=True)
    record = job.record()
    assert record is not None
    assert record.spec.callbacks.early_stopping is not None
    monitor = record.spec.callbacks.early_stopping.monitor
    told = [event.data for _, event in read_events(attempt.events_file) if event.type == "epoch"]
    return [(number, monitor, one["epoch"], _short(one["metrics"].get(monitor))) for one in told]


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


if __name__ == "__main__":
    raise SystemExit(main())
