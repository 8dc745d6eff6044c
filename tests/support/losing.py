"""A job whose attempts are lost repeatedly, by every kind of fault of a machine."""

import os
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from shared.events import read_events
from shared.history import JobReader
from shared.job_folder import AttemptFolder, JobFolder
from shared.ledger import ledger
from shared.points import made_progress
from shared.queue import JobQueue
from shared.settings import Settings, variable
from shared.times import parse_time
from shared.volume import Volume
from tests.support.jobs import put_job, small_spec
from tests.support.killing import RESUME_JOB
from tests.support.redis import RedisServer
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess, descendants

# The product's limits, shortened for a test. On the worker's own machine the take-over time does not matter.
TIMES = {"FITSTOP_HEARTBEAT_SECONDS": "1", "FITSTOP_SELF_STOP_SECONDS": "12", "FITSTOP_TAKE_OVER_SECONDS": "20",
         "FITSTOP_SWEEP_SECONDS": "2", "FITSTOP_STOP_GRACE_SECONDS": "5", "FITSTOP_HANG_SECONDS": "20"}  # fmt: skip
DEFAULT_TIMES = {variable(name): str(getattr(Settings(), name)) for name in Settings.model_fields if "_seconds" in name}
# Hides the processes of others from a worker, as if it ran on another machine.
ELSEWHERE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
_SOON = 180


def slow_job(epochs: int) -> dict[str, Any]:
    """A job without early stopping, whose epochs take some tenths of a second on 6,000 rows."""
    hyperparameters = {**RESUME_JOB["hyperparameters"], "epochs": epochs, "engine": "stock", "xla": False}
    callbacks = {**RESUME_JOB["callbacks"], "early_stopping": None}
    return small_spec(**{**RESUME_JOB, "hyperparameters": hyperparameters, "callbacks": callbacks})


@dataclass(frozen=True)
class Loss:
    """One fault: its kind, the attempt that was lost, and its time, in seconds since 1970."""

    kind: str
    attempt: int
    at: float


class Stand:
    """One job's volume and Redis, and the workers that are lost."""

    def __init__(
        self,
        volume: Volume,
        redis: RedisServer,
        job_queue: JobQueue,
        folder: Path,
        workers: int = 2,
        times: dict[str, str] = TIMES,
    ) -> None:
        self._times = times
        self.volume = volume
        self._redis = redis
        self._queue = job_queue
        self._folder = folder
        self._temporary: list[str] = []
        self._workers = [self.worker(f"worker {number}") for number in range(workers)]
        self.losses: list[Loss] = []

    def worker(self, name: str, **environment: str) -> WorkerProcess:
        """A new worker, not started, with its own folder of temporary files."""
        self._folder.mkdir(exist_ok=True)
        # Not below the test's own folder: the path of a socket has at most 107 characters.
        self._temporary.append(temporary := tempfile.mkdtemp(prefix="lost-"))
        log = self._folder / f"{name}.log"
        return WorkerProcess(self.volume, self._redis.url, log, **self._times, TMPDIR=temporary, **environment)

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        for worker in self._workers:
            worker.stop()
        for folder in self._temporary:
            shutil.rmtree(folder, ignore_errors=True)

    def post(self, epochs: int) -> JobFolder:
        job = put_job(self.volume, slow_job(epochs))
        self._queue.notify(job.id)
        return job

    def lose(self, job: JobFolder, kind: str, *, after_progress: bool = True, wipe_redis: bool = False) -> None:
        """Wait until the job's newest attempt trains, make it lost, and restart the workers that have ended."""
        attempt = self.wait_for_training(job, after_progress=after_progress)
        if wipe_redis:
            with self._redis.client() as client:
                client.flushall()
        self.take_away(attempt, kind)
        for worker in self._workers:
            if not worker.is_alive():
                worker.begin()

    def take_away(self, attempt: AttemptFolder, kind: str = "worker tree") -> Loss:
        """Make an attempt lost by a fault, without restarting anything."""
        self.losses.append(loss := Loss(kind, attempt.number, time.time()))
        KINDS[kind](self, attempt)
        return loss

    def wait_for_training(self, job: JobFolder, *, after_progress: bool = True) -> AttemptFolder:
        """Wait until an attempt after the last lost one trains, and return it."""
        found = wait_for(lambda: self._training(job, after_progress), _SOON, saying="it trains again")
        assert found is not None
        return found

    def _training(self, job: JobFolder, after_progress: bool) -> AttemptFolder | None:
        attempts = job.attempts()
        newest = attempts[-1] if attempts else None
        lost = self.losses[-1].attempt if self.losses else 0
        if newest is None or newest.number <= lost or newest.training_process() is None:
            return None
        return newest if not after_progress or made_progress(newest) else None

    # The faults

    def kill_child(self, attempt: AttemptFolder) -> None:
        _kill(_child(attempt))

    def kill_worker(self, attempt: AttemptFolder) -> None:
        self._owner(attempt).stop()

    def kill_tree(self, attempt: AttemptFolder) -> None:
        """Kill a worker and its children at once. If the worker saw that its child was killed, it would record that."""
        worker = self._owner(attempt)
        worker.send(signal.SIGSTOP)
        for pid in descendants(worker.pid):
            _kill(pid)
        worker.stop()

    def kill_all(self, _: AttemptFolder) -> None:
        for worker in self._workers:
            worker.stop()

    def terminate_and_kill(self, attempt: AttemptFolder) -> None:
        """End a worker as a spot machine does: SIGTERM, and SIGKILL before the worker has handed its job back."""
        worker = self._owner(attempt)
        worker.send(signal.SIGTERM)
        time.sleep(0.2)  # the notice that such a machine gives
        worker.stop()

    def kill_fork_server(self, attempt: AttemptFolder) -> None:
        _kill(_parent(_child(attempt)))

    def freeze_fork_server(self, attempt: AttemptFolder) -> None:
        child = _child(attempt)
        os.kill(_parent(child), signal.SIGSTOP)
        _kill(child)

    def cut_off_fork_server(self, attempt: AttemptFolder) -> None:
        """Remove the folder of its socket, as a cleaner of temporary files does."""
        for folder in Path(self._owner(attempt).environment["TMPDIR"]).glob("pymp-*"):
            shutil.rmtree(folder, ignore_errors=True)
        _kill(_child(attempt))

    def _owner(self, attempt: AttemptFolder) -> WorkerProcess:
        claim = attempt.claim()
        assert claim is not None
        return next(worker for worker in self._workers if worker.pid == claim.pid)


KINDS: dict[str, Callable[[Stand, AttemptFolder], None]] = {
    "child": Stand.kill_child,
    "worker": Stand.kill_worker,
    "worker tree": Stand.kill_tree,
    "all workers": Stand.kill_all,
    "SIGKILL after SIGTERM": Stand.terminate_and_kill,
    "fork server killed": Stand.kill_fork_server,
    "fork server frozen": Stand.freeze_fork_server,
    "fork server cut off": Stand.cut_off_fork_server,
}


def some_kinds(chance: Random, kinds: list[str], count: int) -> list[str]:
    """Choose `count` kinds in a random order, each about equally often."""
    drawn = [kinds[number % len(kinds)] for number in range(count)]
    chance.shuffle(drawn)
    return drawn


def seconds_to_first_batch(job: JobFolder, loss: Loss) -> float | None:
    """Seconds from a fault to the start of the first epoch, or rest of an epoch, that a later attempt completed."""
    for attempt in job.attempts()[loss.attempt :]:
        for _, event in read_events(attempt.events_file):
            if event.type == "epoch":
                return _seconds_since_1970(event.time) - float(event.data["seconds"]) - loss.at
    return None


def redone_seconds(job: JobFolder) -> dict[int, float]:
    """Seconds of each attempt that were redone, with the time until the take-over, from the job's ledger."""
    history = JobReader(job).read_on()
    assert history is not None
    held = ledger(history).held
    return {attempt.number: one.parts["redone"] / 1e6 for attempt, one in zip(history.attempts, held, strict=True)}


def summary(values: list[float]) -> str:
    """Median and extremes."""
    return f"{statistics.median(values):5.1f} s ({min(values):.1f} to {max(values):.1f}, {len(values)} times)"


def _seconds_since_1970(text: str) -> float:
    moment: datetime = parse_time(text)
    return moment.timestamp()


def _child(attempt: AttemptFolder) -> int:
    training = attempt.training_process()
    assert training is not None
    return training.process.pid


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
