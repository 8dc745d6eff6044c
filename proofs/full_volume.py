"""A nearly full volume fails no job: `python -m proofs.full_volume --minutes 5 --jobs 10` (`make full-volume`).

A worker trains a large model, and jobs wait in its queue. The volume is filled until 3 MB are left, and freed space is
filled again. After `--minutes` there is space again. Then every job must end without a failure.
Needs the right to mount a tmpfs.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from shared.job_folder import JobFolder
from shared.queue import RedisQueue, make_celery
from shared.settings import Settings
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.redis import running_redis
from tests.support.small_disk import NoMount, SmallDisk
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess

MB = 1024**2
# Its resume point has 6 MB.
LARGE = small_spec(model={"layers": [700, 700]}, hyperparameters={"epochs": 150}, callbacks={"early_stopping": None})
_LEFT = 3 * MB


def main() -> int:
    """Exit status 0 only if no job failed and no failure was counted; 2 if nothing can be mounted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--jobs", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            disk = SmallDisk(Path(folder) / "volume", 256 * MB)
        except NoMount as error:
            sys.stderr.write(f"a tmpfs cannot be mounted: {error}\n")
            return 2
        try:
            return run(disk, Path(folder), asked.minutes, asked.jobs)
        finally:
            disk.close()


def run(disk: SmallDisk, folder: Path, minutes: float, count: int) -> int:
    volume = Volume(disk.folder)
    put_dataset(volume, learnable_frame())
    with running_redis(folder) as redis:
        # Default limits, and the default reserve of 64 MiB.
        worker = WorkerProcess(volume, redis.url, folder / "worker.log")
        worker.start()
        try:
            job_queue = RedisQueue(make_celery(Settings.model_validate({"redis_url": redis.url})))
            large = put_job(volume, LARGE)
            job_queue.notify(large.id)
            wait_for(lambda: large.attempts() and any(large.attempts()[0].resume.glob("point-*")))
            jobs = [large, *(put_job(volume, small_spec()) for _ in range(count))]
            job_queue.notify(*(job.id for job in jobs[1:]))
            keep_full(disk, minutes)
            tell("while the volume was full", jobs)
            disk.free()
            for job in jobs:
                wait_for(job.result, 300, every=0.2)
        finally:
            worker.stop()
    return 0 if tell("after there was room", jobs) else 1


def keep_full(disk: SmallDisk, minutes: float) -> None:
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        disk.fill(_LEFT)
        time.sleep(0.2)


def tell(when: str, jobs: list[JobFolder]) -> bool:
    """Print the states of jobs and attempts; return whether no failure was counted and no job has failed."""
    states = Counter(state.status for job in jobs if (state := job.state()) is not None)
    ends = [end for job in jobs for attempt in job.attempts() if (end := attempt.end()) is not None]
    words = Counter(f"{end.outcome} ({end.error.code})" if end.error else end.outcome for end in ends)
    failures = sum(end.is_failure for end in ends)
    sys.stdout.write(f"{when}: jobs {dict(states)}, attempts {dict(words)}, failures counted {failures}\n")
    sys.stdout.flush()
    return failures == 0 and states["failed"] == 0


if __name__ == "__main__":
    raise SystemExit(main())
