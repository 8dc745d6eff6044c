"""A real MLflow server has each epoch once while training, sender, worker and MLflow are killed: `make mlflow-proof`.

One job trains. Its training process and the sender are killed with SIGKILL at random moments, now and then also the
worker or MLflow. The job resumes each time. At the end it has one run, with one entry for each epoch of each metric,
equal to the job's log. Ends with 1 if a promise was broken.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from fitstop.client import Client
from fitstop.connection import Connection
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.jobs import learnable_frame, put_dataset, small_spec
from tests.support.keys import ADMIN_KEY
from tests.support.mlflow import RealMlflow, install_mlflow
from tests.support.redis import running_redis
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess

ENDED = {"succeeded": "FINISHED", "cancelled": "KILLED"}


class Sender:
    """The process of `fitstop export mlflow --live`."""

    def __init__(self, api: ApiProcess, mlflow: RealMlflow, log: Path) -> None:
        self.log = log
        url, key = f"http://127.0.0.1:{api.port}", ADMIN_KEY
        ours = {"FITSTOP_URL": url, "FITSTOP_API_KEY": key, "FITSTOP_MLFLOW_URI": mlflow.url}
        self._environment = {**os.environ, **ours}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "fitstop.cli.main", "export", "mlflow", "--live"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class World:
    """The service, the sender and MLflow, and one job."""

    def __init__(self, folder: Path, redis_url: str, python: Path) -> None:
        volume = Volume(folder / "volume")
        put_dataset(volume, learnable_frame())
        self.api = ApiProcess(volume, redis_url, folder / "api.log")
        self.worker = WorkerProcess(volume, redis_url, folder / "worker.log")
        self.mlflow = RealMlflow(python, folder)
        self.sender = Sender(self.api, self.mlflow, folder / "sender.log")
        self.job_id = ""

    def start(self) -> None:
        self.mlflow.start()
        self.api.start()
        self.worker.start()
        self.sender.start()
        spec = small_spec(name="live", hyperparameters={"epochs": 100_000}, callbacks={"early_stopping": None})
        self.job_id = self.api.ask("POST", "/jobs", spec).json["id"]

    def stop(self) -> None:
        self.sender.kill()
        self.worker.stop()
        self.mlflow.kill()
        if self.api.process is not None:
            self.api.stop()

    def job(self) -> dict[str, Any]:
        return self.api.ask("GET", f"/jobs/{self.job_id}").json

    def epoch(self) -> int:
        return (self.job()["progress"] or {}).get("epoch", 0)

    def kill_training(self) -> None:
        with suppress(ProcessLookupError, AssertionError):
            os.kill(self.worker.training_process(), signal.SIGKILL)


def kill(world: World, kills: int, chance: random.Random) -> None:
    """Kill processes after progress, so that each attempt has some."""
    last = 0
    for number in range(1, kills + 1):
        wait_for(lambda last=last: world.epoch() > last, 180, every=0.1, saying="it trains again")
        time.sleep(chance.uniform(0, 4))
        last = world.epoch()
        world.kill_training()
        world.sender.kill()
        if number % 7 == 0:
            world.worker.stop()
            world.worker.start()
        if number % 9 == 0:
            world.mlflow.kill()
            world.mlflow.start()
        world.sender.start()


def end(world: World) -> dict[str, Any]:
    """Train for another moment, cancel the job, and wait until MLflow has the end."""
    last = world.epoch()
    wait_for(lambda: world.epoch() > last + 10, 180, every=0.1, saying="it trains again")
    world.api.ask("POST", f"/jobs/{world.job_id}/cancel")
    wait_for(lambda: world.job()["status"] in ENDED, 60, every=0.1, saying="it is cancelled")
    wait_for(lambda: is_ended(world), 180, every=0.5, saying="MLflow knows the end")
    return world.job()


def is_ended(world: World) -> bool:
    return any(run["info"]["status"] in ENDED.values() for run in world.mlflow.runs(world.job_id))


def judge(world: World, job: dict[str, Any], kills: int) -> list[str]:
    """Find what is wrong with MLflow's copy of the log."""
    with Client(Connection(f"http://127.0.0.1:{world.api.port}", ADMIN_KEY)) as client:
        rows = list(client.all_epochs(world.job_id))
    runs = world.mlflow.runs(world.job_id)
    wrong = [] if len(runs) == 1 else [f"{len(runs)} runs, expected 1"]
    wrong += [] if job["attempt"] >= kills else [f"{job['attempt']} attempts, expected {kills}"]
    for key in rows[0]["metrics"]:
        expected = [(row["epoch"], row["metrics"][key]) for row in rows]
        got = world.mlflow.steps(runs[0]["info"]["run_id"], key)
        wrong += [] if sorted(got) == expected else [describe(key, got, expected)]
    print(f"{len(rows)} epochs, {job['attempt']} attempts, status {job['status']}")
    return wrong


def describe(key: str, got: list[tuple[int, float]], expected: list[tuple[int, float]]) -> str:
    steps = [step for step, _ in got]
    doubled = sorted(step for step, count in Counter(steps).items() if count > 1)[:5]
    missing = sorted({step for step, _ in expected} - set(steps))[:5]
    return f"{key}: {len(got)} entries, expected {len(expected)}; doubled {doubled}, missing {missing}"


def prove(folder: Path, python: Path, *, kills: int, seed: int) -> list[str]:
    """Run the proof and return what is wrong."""
    with running_redis(folder) as redis:
        world = World(folder, redis.url, python)
        try:
            world.start()
            kill(world, kills, random.Random(seed))
            return judge(world, end(world), kills)
        finally:
            world.stop()


def main() -> int:
    """Run the proof and print what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mlflow-python", type=Path, help="the Python of an environment that has MLflow")
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    with tempfile.TemporaryDirectory(prefix="fitstop-mlflow-") as name:
        python = asked.mlflow_python or install_mlflow(Path(name) / "mlflow")
        wrong = prove(Path(name), python, kills=asked.kills, seed=asked.seed)
    print("\n".join(wrong) or "every promise was kept")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
