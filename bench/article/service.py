"""The benchmarks that post jobs to a warm Fitstop on this machine."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from bench.article.figures import Part
from fitstop.client import Client
from fitstop.local.stack import LocalStack, StackOptions

SCRIPT = Path(__file__).with_name("article_script.py")
# The steps of a job until its first row, each with the event that ends it.
_STEPS = (
    ("", "stored"),
    ("claimed by a worker", "state"),
    ("the process is at work", "started"),
    ("data read and prepared", "data"),
    ("model built", "model"),
    ("traced and compiled", "engine"),
    ("the first epoch, with what it traces and saves", "epoch"),
)
_SMALL_EPOCHS = 10
_ENDED = {"succeeded", "failed", "cancelled"}


@contextmanager
def warm_fitstop(data: Path, slots: int = 1) -> Iterator[Client]:
    """Run a service that has the data, and has trained one small job."""
    with (
        tempfile.TemporaryDirectory(prefix="fitstop-bench-") as folder,
        running_fitstop(Path(folder), data, slots) as client,
    ):
        ended(client, client.submit(article(epochs=1))["id"])
        yield client


@contextmanager
def running_fitstop(folder: Path, data: Path, slots: int = 1) -> Iterator[Client]:
    """Run a service that has the data, with its cache in `folder`."""
    environment = {**os.environ, "FITSTOP_CACHE": str(folder / "cache")}
    with LocalStack(StackOptions(folder, slots=slots), lambda *_: None, environment) as stack:
        stack.start()
        stack.wait_ready()
        with Client(stack.connection) as client:
            client.put_dataset("wine-quality", data)
            yield client


def article(seed: int = 42, epochs: int = 1000) -> dict[str, Any]:
    """The article's job."""
    return {
        "dataset": {"id": "wine-quality", "target": "quality", "positive": {"at_least": 6}},
        "hyperparameters": {"seed": seed, "epochs": epochs},
    }


def ended(client: Client, job_id: str) -> dict[str, Any]:
    """Wait until the job has succeeded, and return it. Polls a hundred times a second."""
    while (job := client.job(job_id))["status"] not in _ENDED:
        time.sleep(0.01)
    if job["status"] != "succeeded":
        raise RuntimeError(f"the job has {job['status']}: {job['error']}")
    return job


def start(client: Client, data: Path, seeds: int) -> Part:
    """(a) The article's script against the same job posted, in turn, one pair for each seed."""
    part = Part("(a) the article's job, from its start to its result")
    script, posted = [], []
    ours, theirs = [], []
    for seed in range(1, seeds + 1):
        seconds, found = _run_script(data, seed)
        script.append(seconds)
        theirs.append(found)
        began = time.monotonic()
        job = ended(client, client.submit(article(seed))["id"])
        posted.append(time.monotonic() - began)
        ours.append(job)
    cold, warm = part.add("the article's script on stock Keras, cold", script), part.add("posted to Fitstop", posted)
    part.add("of these the first, which compiles for the others", posted[:1])
    part.ratios["times sooner (10 wanted)"] = cold.median / warm.median
    part.add("best val_accuracy of the script", [one["best"] for one in theirs], "")
    part.add("best val_accuracy of Fitstop", [one["progress"]["best"]["value"] for one in ours], "")
    part.add("last epoch of the script", [one["last_epoch"] for one in theirs], "")
    part.add("last epoch of Fitstop", [one["stop"]["last_epoch"] for one in ours], "")
    return part


def _run_script(data: Path, seed: int, **chosen: Any) -> tuple[float, dict[str, Any]]:
    """Run the article's script in a separate process; return its seconds, and what it printed."""
    began = time.monotonic()
    printed = subprocess.run(
        [sys.executable, str(SCRIPT), str(data), str(seed), json.dumps(chosen)],
        capture_output=True, text=True, check=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    ).stdout  # fmt: skip
    return time.monotonic() - began, json.loads(printed.splitlines()[-1])


def ring(client: Client, times: int) -> Part:
    """(c) From the job's record to the first epoch's row, and each step between, by the events' own clock."""
    part = Part("(c) from the stored job")
    found = [_moments(client, ended(client, client.submit(article(seed, epochs=2))["id"])) for seed in range(times)]
    part.add("Fitstop: to the child at work (0.1 wanted)", [one["started"] - one["stored"] for one in found])
    part.add("Fitstop: to the first epoch's row (1.2 wanted)", [one["epoch"] - one["stored"] for one in found])
    for (_, before), (name, after) in pairwise(_STEPS):
        part.add(f"of it: {name}", [one[after] - one[before] for one in found])
    return part


def _moments(client: Client, job: dict[str, Any]) -> dict[str, float]:
    """When the job was stored, and when the first event of each type came."""
    moments = {"stored": _seconds(job["created_at"])}
    for event in client.all_events(job["id"]):
        moments.setdefault(event["type"], _seconds(event["time"]))
    return moments


def restart(data: Path, rounds: int) -> Part:
    """(f) The first of the article's jobs after a start of the service: without and with programs kept from before."""
    part = Part("(f) the first job after a restart")
    ways = ("compiles", "finds its programs")
    rows: dict[str, list[float]] = {way: [] for way in ways}
    ends: dict[str, list[float]] = {way: [] for way in ways}
    for seed in range(1, rounds + 1):
        with tempfile.TemporaryDirectory(prefix="fitstop-bench-") as folder:
            for way in ways:
                with running_fitstop(Path(folder), data) as client:
                    began = time.monotonic()
                    job = ended(client, client.submit(article(seed))["id"])
                    ends[way].append(time.monotonic() - began)
                    first = next(event for event in client.all_events(job["id"]) if event["type"] == "epoch")
                    rows[way].append(_seconds(first["time"]) - _seconds(job["created_at"]))
    for what, seconds in (("the first epoch's row", rows), ("its result", ends)):
        without, kept = (part.add(f"Fitstop: to {what}, {way}", found) for way, found in seconds.items())
        part.ratios[f"times sooner to {what}"] = without.median / kept.median
    return part


def row(client: Client, jobs: int) -> Part:
    """(d) The article's jobs one after another, all posted at once."""
    part = Part(f"(d) {jobs} of the article's jobs in a row")
    began = time.monotonic()
    posted = [client.submit(article(seed))["id"] for seed in range(1, jobs + 1)]
    for job_id in posted:
        ended(client, job_id)
    seconds = time.monotonic() - began
    part.add("Fitstop: one job", [seconds / jobs])
    part.add("Fitstop: jobs in an hour", [3600 * jobs / seconds], "1/h")
    return part


def shapes(client: Client, data: Path, jobs: int) -> Part:
    """(f) Jobs with different layers, one after another, against as many scripts with the same layers."""
    part = Part(f"(f) {jobs} jobs of {_SMALL_EPOCHS} epochs in a row, each of another shape")
    script, posted = [], []
    for number in range(jobs):
        layers = [8 + 4 * number] * (1 + number % 3)
        script.append(_run_script(data, seed=1, layers=layers, epochs=_SMALL_EPOCHS)[0])
        spec = {**article(1, _SMALL_EPOCHS), "model": {"layers": layers}}
        began = time.monotonic()
        ended(client, client.submit(spec)["id"])
        posted.append(time.monotonic() - began)
    part.add("the scripts, together", [sum(script)])
    part.add("the posted jobs, together", [sum(posted)])
    part.ratios["times sooner (4 wanted)"] = sum(script) / sum(posted)
    return part


def agreement(client: Client, seeds: int) -> Part:
    """Compare the engines in every number without XLA; with it, only the best, as its order of operations differs."""
    part = Part("the same numbers from both engines?")
    stock, fused = (_asked(client, 42, engine, xla=False, epochs=30) for engine in ("stock", "fused"))
    ours, theirs = (_rows(client, job) for job in (fused, stock))
    part.ratios["largest difference of a loss in 30 epochs (1e-6 wanted)"] = float(
        abs(ours["loss"] - theirs["loss"]).max()
    )
    part.ratios["largest difference of any number"] = float(abs(ours - theirs).max().max())
    saved = [[one["epoch"] for one in client.checkpoints(job["id"])["data"]] for job in (fused, stock)]
    part.notes.append(f"epochs saved: fused {saved[0]}, stock {saved[1]}")
    for xla in (False, True):
        best = [_asked(client, seed, "fused", xla=xla)["progress"]["best"]["value"] for seed in range(1, seeds + 1)]
        part.add(f"Fitstop's best val_accuracy {'with' if xla else 'without'} XLA", best, "")
    return part


def _asked(client: Client, seed: int, engine: str, *, xla: bool, epochs: int = 1000) -> dict[str, Any]:
    spec = article(seed, epochs)
    spec["hyperparameters"] |= {"engine": engine, "xla": xla}
    if epochs < 1000:
        spec["callbacks"] = {"early_stopping": None, "model_checkpoint": {"keep": 100}}
    return ended(client, client.submit(spec)["id"])


def _rows(client: Client, job: dict[str, Any]) -> pd.DataFrame:
    return pd.read_csv(BytesIO(b"".join(client.training_log(job["id"]))))


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
