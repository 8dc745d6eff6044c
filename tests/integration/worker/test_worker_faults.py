"""A child that hangs. Other faults are in the tests of jobs, of full volumes and of sick workers."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.events import job_events
from shared.queue import JobQueue
from shared.volume import Volume
from tests.support.jobs import LONG, learnable_frame, put_dataset, put_job
from tests.support.redis import RedisServer
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess


@pytest.fixture
def impatient_worker(volume: Volume, redis_server: RedisServer, tmp_path: Path) -> Iterator[WorkerProcess]:
    put_dataset(volume, learnable_frame())
    process = WorkerProcess(volume, redis_server.url, tmp_path / "worker.log", FITSTOP_HANG_SECONDS="1.5")
    process.start()
    yield process
    process.stop()


def test_a_child_that_hangs_is_killed_its_stacks_are_kept_and_the_job_is_retried(
    impatient_worker: WorkerProcess, volume: Volume, job_queue: JobQueue
) -> None:
    job = put_job(volume, LONG)
    job_queue.notify(job.id)
    wait_for(lambda: job.attempts() and job.attempts()[0].training_log.exists())
    wait_for(lambda: job.attempts()[0].training_log.read_text().count("\n") > 30)
    os.kill(impatient_worker.training_process(), signal.SIGSTOP)
    end = wait_for(job.attempts()[0].end, 20)
    assert end.error is not None
    assert (end.error.code, end.is_failure) == ("hang", True)
    wait_for(lambda: any("from attempt 1" in placed.event.message for placed in job_events(job)))
    job.request_cancel()
    wait_for(job.result)
