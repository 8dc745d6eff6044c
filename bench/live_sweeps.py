"""Measure sweeps on a running service: `make bench-live-sweeps DATA=winequalityN.csv`.

rules    the same sweep (seed and random sampler, and so configurations) under each rule, on wine quality and on
         scikit-learn's digits as a table: the best value, and the epochs and compute time against no rule
scripts  the article's script, started cold for each configuration of a sweep, one after another, against the sweep
         posted to a warm service
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from sklearn.datasets import load_digits

from bench.article.figures import Part
from bench.article.service import SCRIPT, article, warm_fitstop
from fitstop.client import Client

RULES = ("none", "median", "asha", "forecast")
SPACE = {
    "/hyperparameters/learning_rate": {"log": [1e-4, 0.1]},
    "/model/layers": {"choice": [[16], [64], [64, 64, 64], [128, 64]]},
    "/model/dropout": {"uniform": [0.0, 0.5]},
}
# Without XLA: on a CPU it compiles for longer than such short trials train, and rules save only epochs.
_TRAINING = {
    "hyperparameters": {"batch_size": 64, "epochs": 200, "xla": False},
    "callbacks": {"early_stopping": {"patience": 20}},
}
JOBS: dict[str, dict[str, Any]] = {
    "wine quality": {**_TRAINING, "dataset": article()["dataset"]},
    "digits": {**_TRAINING, "dataset": {"id": "digits", "target": "target"}},
}


def main() -> int:
    """Print one table for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="winequalityN.csv")
    parser.add_argument("--only", choices=("rules", "scripts"))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(101, 111)), help="of the compared sweeps")
    parser.add_argument("--trials", type=int, default=20, help="of each sweep")
    parser.add_argument("--rule", default="forecast", help="of the sweep beside the scripts")
    parser.add_argument("--slots", type=int, default=1, help="of the worker, and trials side by side")
    asked = parser.parse_args()
    with warm_fitstop(asked.data, asked.slots) as client, tempfile.TemporaryDirectory() as folder:
        client.put_dataset("digits", write_digits(Path(folder)))
        if asked.only != "scripts":
            compare_rules(client, asked)
        if asked.only != "rules":
            sys.stdout.write(compare_scripts(client, asked).table())
    return 0


def write_digits(folder: Path) -> Path:
    """Write scikit-learn's digits as a table: 64 pixels and the digit."""
    path = folder / "digits.csv"
    load_digits(as_frame=True).frame.to_csv(path, index=False)
    return path


def run_sweep(client: Client, job: dict[str, Any], rule: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Run a sweep to its end, and return it with its trials."""
    spec = {
        "job": job,
        "space": SPACE,
        "sampler": "random",
        "trials": asked.trials,
        "parallel": asked.slots,
        "rule": {"name": rule},
        "seed": seed,
    }
    sweep_id = client.submit_sweep(spec)["id"]
    while (sweep := client.sweep(sweep_id))["status"] == "running":
        time.sleep(0.05)
    if sweep["status"] != "succeeded":
        raise RuntimeError(f"the sweep has {sweep['status']}: {sweep['message']}")
    return {**sweep, "trials": list(client.all_trials(sweep_id))}


def compare_rules(client: Client, asked: argparse.Namespace) -> None:
    """Print, for each dataset and rule, what the sweeps of all seeds found and saved."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for seed, name, rule in product(asked.seeds, JOBS, RULES):
        sweep = run_sweep(client, JOBS[name], rule, seed, asked)
        found[name, rule].append(sweep)
        sys.stdout.write(f"{name}, seed {seed}: {_one_line(rule, sweep)}\n")
        sys.stdout.flush()
    for name in JOBS:
        sys.stdout.write(f"\n{name}: {len(asked.seeds)} sweeps of {asked.trials} trials\n")
        for rule in RULES:
            sys.stdout.write(_summary(rule, found[name, rule], found[name, "none"]))


def _epochs(sweep: dict[str, Any]) -> int:
    return sum(trial["epoch"] for trial in sweep["trials"])


def _one_line(rule: str, sweep: dict[str, Any]) -> str:
    best, spent = sweep["best"]["value"], sweep["spent"]["gpu_seconds"]
    stopped = sweep["counts"]["outclassed"]
    return f"{rule:9s} best {best:.4f}, {_epochs(sweep)} epochs, {spent:.1f} s, {stopped} outclassed"


def _summary(rule: str, found: list[dict[str, Any]], without: list[dict[str, Any]]) -> str:
    bests = [sweep["best"]["value"] for sweep in found]
    differences = [best - other["best"]["value"] for best, other in zip(bests, without, strict=True)]
    worse = sum(difference < 0 for difference in differences)
    spread = stdev(bests) if len(bests) > 1 else 0.0
    epochs = 1 - sum(map(_epochs, found)) / sum(map(_epochs, without))
    seconds = 1 - _seconds(found) / _seconds(without)
    return (
        f"  {rule:9s} best {mean(bests):.4f} (sd {spread:.4f}), against none {mean(differences):+.4f}, worse in "
        f"{worse}; epochs saved {epochs:.0%}, compute time saved {seconds:.0%}\n"
    )


def _seconds(sweeps: list[dict[str, Any]]) -> float:
    return float(sum(sweep["spent"]["gpu_seconds"] for sweep in sweeps))


def compare_scripts(client: Client, asked: argparse.Namespace) -> Part:
    """Run the sweep first, then each of its configurations as a script."""
    part = Part(f"{asked.trials} configurations of the article's job")
    began = time.monotonic()
    sweep = run_sweep(client, article(), asked.rule, asked.seeds[0], asked)
    ours = part.add(
        f"one sweep posted to Fitstop, rule {asked.rule}, {asked.slots} at a time", [time.monotonic() - began]
    )
    times, bests = [], []
    for trial in sweep["trials"]:
        began = time.monotonic()
        bests.append(_run_script(asked.data, trial["parameters"]))
        times.append(time.monotonic() - began)
    part.add("a script on stock Keras, cold", times)
    theirs = part.add("all scripts, one after another", [sum(times)])
    part.ratios["times sooner (6 wanted)"] = theirs.median / ours.median
    part.add("best val_accuracy of the scripts", [max(bests)], "")
    part.add("best val_accuracy of the sweep", [sweep["best"]["value"]], "")
    part.notes.append(f"{sweep['counts']['outclassed']} of {asked.trials} trials were outclassed")
    return part


def _run_script(data: Path, parameters: dict[str, Any]) -> float:
    chosen = {pointer.rpartition("/")[2]: value for pointer, value in parameters.items()}
    printed = subprocess.run(
        [sys.executable, str(SCRIPT), str(data), "42", json.dumps(chosen)],
        capture_output=True, text=True, check=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    ).stdout  # fmt: skip
    return float(json.loads(printed.splitlines()[-1])["best"])


if __name__ == "__main__":
    raise SystemExit(main())
