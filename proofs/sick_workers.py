"""Does a sick worker fail the jobs of the queue? `python -m proofs.sick_workers --jobs 10`.

A worker is made sick in each of eight ways, once beside a healthy one and once alone; then the jobs are posted. Beside
a healthy worker all of them must succeed while the other one is still sick. Alone they must succeed or wait, and
succeed when the machine has recovered. No attempt may count as a failure.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.job_folder import JobFolder
from shared.queue import RedisQueue, make_celery
from shared.settings import Settings
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.redis import running_redis
from tests.support.sickness import WAYS, Machine
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess

SPEC = small_spec(hyperparameters={"epochs": 2}, callbacks={"early_stopping": None})
QUICK = {"FITSTOP_CHILD_START_SECONDS": "5"}


@dataclass
class Stage:
    """One volume and one Redis for a sick worker, and for a healthy one beside it."""

    folder: Path
    redis_url: str

    def __post_init__(self) -> None:
        self.volume = Volume(self.folder / "volume")
        put_dataset(self.volume, learnable_frame(60))
        self.job_queue = RedisQueue(make_celery(Settings.model_validate({"redis_url": self.redis_url})))
        self.machine = Machine(self.folder / "machine")
        self.sick = self.worker("sick", **self.machine.environment)
        self.machine.worker = self.sick

    def worker(self, name: str, **environment: str) -> WorkerProcess:
        return WorkerProcess(self.volume, self.redis_url, self.folder / f"{name}.log", **QUICK, **environment)

    def post(self, count: int) -> list[JobFolder]:
        jobs = [put_job(self.volume, SPEC) for _ in range(count)]
        for job in jobs:
            self.job_queue.notify(job.id)
        return jobs

    def restart_sick(self) -> bool:
        """Restart the sick worker if it has ended: with 1, or with 2 if it could not start. Return whether it had."""
        if self.sick.is_alive():
            return False
        assert self.sick.wait() in {1, 2}, f"see {self.sick.log}"
        self.sick.begin()
        return True


@contextmanager
def stage(redis_url: str) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as folder:
        held = Stage(Path(folder), redis_url)
        try:
            yield held
        finally:
            held.machine.cure()
            held.sick.stop()


def main() -> int:
    """Exit status 0 only if no job failed and no attempt counts as a failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10)
    parser.add_argument("--way", choices=sorted(WAYS), action="append", help="default: all")
    parser.add_argument("--wait", type=float, default=30, help="seconds that the worker alone is sick")
    asked = parser.parse_args()
    bad = 0
    for way in asked.way or WAYS:
        for is_alone in (False, True):
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as redis:
                said = play(way, redis.url, asked.jobs, asked.wait if is_alone else None)
            bad += "FAILED" in said
            place = "alone" if is_alone else "beside a healthy worker"
            sys.stdout.write(f"{way}, {place}: {said} ({time.monotonic() - began:.0f} s)\n")
            sys.stdout.flush()
    return 1 if bad else 0


def play(way: str, redis_url: str, count: int, alone_seconds: float | None) -> str:
    """Run the jobs, and describe their outcome in a sentence."""
    with stage(redis_url) as held:
        held.sick.start()
        healthy = held.worker("healthy") if alone_seconds is None else None
        try:
            if healthy is not None:
                healthy.start()
            WAYS[way](held.machine)
            jobs = held.post(count)
            sick_ends = 0
            if alone_seconds is not None:
                sick_ends = bear(held, jobs, alone_seconds)
                held.machine.cure()
            wait_for(lambda: all(job.result() for job in jobs) or (held.restart_sick() and None), 240, every=0.2)
            return describe(jobs, sick_ends)
        except AssertionError as error:
            return f"FAILED: {error}; {describe(jobs, 0)}\n{held.sick.log.read_text()[-3000:]}"
        finally:
            if healthy is not None:
                healthy.stop()


def bear(held: Stage, jobs: list[JobFolder], seconds: float) -> int:
    """Restart the sick worker when it ends, for `seconds` or until all jobs have ended. Return how often it ended."""
    until, ends = time.monotonic() + seconds, 0
    while time.monotonic() < until and not all(job.result() for job in jobs):
        ends += held.restart_sick()
        time.sleep(0.2)
    return ends


def describe(jobs: list[JobFolder], sick_ends: int) -> str:
    results = [job.result() for job in jobs]
    ends = [end for job in jobs for attempt in job.attempts() if (end := attempt.end())]
    succeeded = sum(result is not None and result.ending.status == "succeeded" for result in results)
    failures = sum(end.is_failure for end in ends)
    codes = sorted({end.error.code for end in ends if end.error})
    said = f"{succeeded} of {len(jobs)} succeeded, {len(ends)} attempts, {failures} failures, codes {codes}"
    if sick_ends:
        said += f", the worker ended {sick_ends} times"
    return said if succeeded == len(jobs) and not failures else f"FAILED {said}"


if __name__ == "__main__":
    raise SystemExit(main())
