"""Train the sweeps that stopping rules are scored on: `python -m proofs.record_sweeps --wine FOLDER`.

Each trial is a job, trained by `worker.training`. A data set has one split, and its trials draw learning rate, width,
dropout and batch size at random. One row for each epoch is kept: the monitored value, and the seconds that the epoch
took.
"""

import argparse
import csv
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras

from bench.sweeps import EPOCHS, FOLDER, PATIENCE
from proofs.record_curves import data_sets
from shared.events import read_events
from shared.volume import Volume
from tests.support.jobs import claim, put_dataset, put_job
from worker.training.run import run
from worker.training.stop_requests import StopRequests

NAMES = ("digits", "wine-quality", "friedman", "classification")
COLUMNS = ("trial", "monitor", "epoch", "value", "seconds")


def main() -> int:
    """Record the trials that do not exist yet, one of each data set in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wine", type=Path, required=True, help="where winequalityN.csv and its two parts are")
    parser.add_argument("--trials", type=int, default=40)
    asked = parser.parse_args()
    sets = data_sets(asked.wine)
    with tempfile.TemporaryDirectory() as folder:
        volume = Volume(Path(folder))
        for name in NAMES:
            put_dataset(volume, sets[name][0](), name)
        for trial in range(1, asked.trials + 1):
            for name in NAMES:
                if trial not in _recorded(name):
                    _append(name, _trained(volume, name, sets[name][1], trial))
    return 0


def _recorded(name: str) -> set[int]:
    path = FOLDER / f"{name}.csv"
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        return {int(row["trial"]) for row in csv.DictReader(file)}


def _append(name: str, rows: list[tuple[Any, ...]]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.csv"
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows] if is_new else rows)
    sys.stdout.write(f"{name} {rows[0][0]}: {len(rows)} epochs of {rows[0][1]}\n")
    sys.stdout.flush()


def _trained(volume: Volume, name: str, target: dict[str, Any], trial: int) -> list[tuple[Any, ...]]:
    chance = random.Random(f"{name} {trial}")
    job = put_job(
        volume,
        {
            "dataset": {"id": name, **target, "split_seed": 1},
            "model": {
                "layers": chance.choice([[8], [32], [128], [16, 16], [64, 64], [128, 64, 32]]),
                "dropout": chance.uniform(0, 0.5),
            },
            "hyperparameters": {
                "epochs": EPOCHS,
                "batch_size": round(2 ** chance.uniform(5, 8)),
                "seed": trial,
                "learning_rate": 10 ** chance.uniform(-4, -1),
            },
            "callbacks": {"early_stopping": {"patience": PATIENCE}, "model_checkpoint": None},
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
    return [
        (trial, monitor, one["epoch"], _short(one["metrics"].get(monitor)), f"{one['seconds']:.3g}") for one in told
    ]


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


if __name__ == "__main__":
    raise SystemExit(main())
