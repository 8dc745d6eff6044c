"""Does a worker leak? `python -m proofs.many_jobs --jobs 1000`: one slot, small jobs one after another.

With `--data winequalityN.csv` the jobs are the article's. Prints the memory (resident, MB), open files and zombies of
the worker and of its fork server, meanwhile and at the end.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from shared.queue import JobQueue, RedisQueue, make_celery
from shared.settings import Settings
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.redis import running_redis
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess, descendants

SMALL = small_spec(hyperparameters={"epochs": 1}, model={"layers": [4]}, callbacks={"early_stopping": None})
ARTICLE = {"dataset": {"id": "wine", "target": "quality", "positive": {"at_least": 6}}}
MOST_GROWTH_MB = 20
_LOOKS, _LOOK_SECONDS = 20, 0.05


def main() -> int:
    """Exit status 0 only if worker and fork server each grew by less than 20 MB, and files and zombies not at all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--warm-up", type=int, default=20, help="jobs before the first figures")
    parser.add_argument("--data", type=Path, help="the article's data")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as redis:
        volume = Volume(Path(folder) / "volume")
        if asked.data:
            put_dataset(volume, pd.read_csv(asked.data), "wine")
        else:
            put_dataset(volume, learnable_frame(60))
        spec = ARTICLE if asked.data else SMALL
        job_queue = RedisQueue(make_celery(Settings.model_validate({"redis_url": redis.url})))
        worker = WorkerProcess(volume, redis.url, Path(folder) / "worker.log")
        worker.start()
        try:
            run_jobs(volume, job_queue, spec, asked.warm_up)
            before = figures(worker.pid)
            for done in range(asked.warm_up, asked.jobs, 98):
                tell(done, figures(worker.pid))
                run_jobs(volume, job_queue, spec, min(98, asked.jobs - done))
            after = figures(worker.pid)
            tell(asked.jobs, after)
        finally:
            worker.stop()
    growth = [new - old for old, new in zip(before, after, strict=True)]
    good = growth[0] < MOST_GROWTH_MB and growth[1] < MOST_GROWTH_MB and growth[2] <= 0 and growth[3] <= 0
    sys.stdout.write(
        f"growth: worker {growth[0]} MB, fork server {growth[1]} MB, {growth[2]} files, {growth[3]} zombies\n"
    )
    return 0 if good else 1


def run_jobs(volume: Volume, job_queue: JobQueue, spec: dict[str, Any], count: int) -> None:
    """Post jobs and wait until each has succeeded."""
    jobs = [put_job(volume, spec) for _ in range(count)]
    for job in jobs:
        job_queue.notify(job.id)
    for job in jobs:
        assert wait_for(job.result, 600).ending.status == "succeeded"


def figures(worker: int) -> tuple[int, int, int, int]:
    """Resident MB of the worker and of its fork server, open files of both, zombies below them."""
    below = descendants(worker)
    server = next(pid for pid in below if "forkserver" in Path(f"/proc/{pid}/cmdline").read_text())
    # The minimum of a second's samples, because a worker lists or syncs a folder now and then.
    files = min(_open_files(worker, server) for _ in range(_LOOKS))
    zombies = sum(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z" for pid in below)
    return _resident(worker), _resident(server), files, zombies


def tell(done: int, now: tuple[int, int, int, int]) -> None:
    sys.stdout.write(f"{done:5d} jobs: worker {now[0]} MB, fork server {now[1]} MB, {now[2]} files, {now[3]} zombies\n")
    sys.stdout.flush()


def _open_files(*pids: int) -> int:
    """Count the open files, a little after the previous sample."""
    time.sleep(_LOOK_SECONDS)
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


if __name__ == "__main__":
    raise SystemExit(main())
