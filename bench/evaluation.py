"""What it costs to watch and to evaluate a job, against an epoch of the same job: `python -m bench.evaluation`.

Posts jobs to its own Fitstop, and prints for each the median epoch from the third on, the seconds of the evaluation,
and their ratio. A fifth of the rows are validated after each epoch, and evaluated once. While a large model trains, it
also measures the samples of the machine, the captured output and the events (`bench.watching`).
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.article.service import ended
from bench.watching import Watching, measure_watching
from fitstop.client import Client
from fitstop.local.stack import LocalStack, StackOptions
from shared.volume import Volume

_FIRST = 2
_LIMIT = 0.01
_CNN = {"kind": "cnn", "filters": [16, 32, 64]}


def main() -> int:
    with (
        tempfile.TemporaryDirectory(prefix="fitstop-bench-") as folder,
        LocalStack(StackOptions(Path(folder)), report=lambda *_: None) as stack,
    ):
        stack.start()
        stack.wait_ready()
        with Client(stack.connection) as client:
            client.put_dataset("table", _write_table(Path(folder), 100_000))
            client.put_dataset("small", _write_table(Path(folder), 5_120))
            client.put_dataset("images", _write_images(Path(folder)))
            _measure(client, "100,000 rows, 64-64-64, batches of 256", _dense("table", [64, 64, 64]))
            _measure(
                client,
                "24.6 million parameters, 5,120 rows",
                _dense("small", [3500, 3500, 3500], epochs=12),
                Path(stack.volume),
            )
            _measure(client, "10,000 images of 64 x 64, a CNN", _spec({"id": "images", "kind": "arrays"}, _CNN))
    return 0


def _write_table(folder: Path, rows: int) -> Path:
    chance = np.random.default_rng(1)
    table = pd.DataFrame(chance.normal(size=(rows, 12)).round(4)).add_prefix("x")
    table["y"] = (table.sum(axis=1) + chance.normal(size=rows) > 0).astype(int)
    table.to_csv(path := folder / f"{rows}.csv", index=False)
    return path


def _write_images(folder: Path) -> Path:
    chance = np.random.default_rng(2)
    np.savez(
        path := folder / "images.npz",
        x=chance.integers(0, 256, (10_000, 64, 64, 3), np.uint8),
        y=chance.integers(0, 10, 10_000),
    )
    return path


def _dense(dataset: str, layers: list[int], epochs: int = 6) -> dict[str, Any]:
    return _spec({"id": dataset, "target": "y"}, {"layers": layers}, epochs)


def _spec(dataset: dict[str, Any], model: dict[str, Any], epochs: int = 6) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "model": model,
        "hyperparameters": {"epochs": epochs, "batch_size": 256},
        "callbacks": {"early_stopping": None},
    }


def _measure(client: Client, title: str, spec: dict[str, Any], volume: Path | None = None) -> None:
    """Print the ratio; with `volume`, the service's own, also print what it costs to watch the job."""
    job_id = client.submit(spec)["id"]
    watching = _watch(client, job_id, volume) if volume else None
    ended(client, job_id)
    epoch = statistics.median([one["seconds"] for one in client.all_epochs(job_id)][_FIRST:])
    seconds = client.evaluation(job_id)["seconds"]
    sys.stdout.write(f"{title}: epoch {epoch:.3f} s, evaluation {seconds:.3f} s, ratio {seconds / epoch:.2f}\n")
    if watching is not None:
        _print_watching(watching, epoch, seconds)
    sys.stdout.flush()


def _watch(client: Client, job_id: str, volume: Path) -> Watching:
    while not client.job(job_id)["progress"]:
        time.sleep(0.1)
    return measure_watching(Volume(volume).job_folder(job_id).attempts()[-1])


def _print_watching(watching: Watching, epoch: float, evaluation: float) -> None:
    event = watching.event_seconds / epoch
    rows = [
        ("samples of the machine, of a core of the worker", watching.samples),
        ("captured output, of a core", watching.output),
        ("events, of an epoch", event),
    ]
    for name, share in rows:
        sys.stdout.write(f"  {name}: {share:.4%}\n")
    total = watching.samples + watching.output + event
    sys.stdout.write(f"  together: {total:.3%} of an epoch, if there is no free core\n")
    epochs = evaluation / epoch / (_LIMIT - total) if total < _LIMIT else float("inf")
    sys.stdout.write(f"  with the evaluation under {_LIMIT:.0%} of the job from {epochs:.0f} epochs on\n")


if __name__ == "__main__":
    raise SystemExit(main())
