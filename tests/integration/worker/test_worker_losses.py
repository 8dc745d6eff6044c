"""Jobs whose processes are killed again and again, with the product's own limits."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proofs.lost_often import broken_promises
from shared.events import job_events
from shared.job_folder import AttemptFolder
from shared.queue import JobQueue
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.losing import TIMES, Stand
from tests.support.redis import RedisServer
from tests.support.scripts import put_script_job
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess


@pytest.fixture
def stand(volume: Volume, redis_server: RedisServer, job_queue: JobQueue, tmp_path: Path) -> Iterator[Stand]:
    put_dataset(volume, learnable_frame(4000))
    # On the worker's own machine the take-over is never needed.
    times = {**TIMES, "FITSTOP_SELF_STOP_SECONDS": "900", "FITSTOP_TAKE_OVER_SECONDS": "1000"}
    stand = Stand(volume, redis_server, job_queue, tmp_path / "workers", workers=1, times=times)
    stand.start()
    yield stand
    stand.stop()


def test_a_job_that_is_lost_more_often_than_it_may_fail_ends_as_its_untouched_twin_without_a_take_over(
    stand: Stand,
) -> None:
    twin = stand.post(25)
    wait_for(twin.result, 120)
    job = stand.post(25)
    kinds = ["child", "child", "worker tree", "child"]
    for number, kind in enumerate(kinds):
        stand.lose(job, kind, after_progress=number != 1, wipe_redis=number == 3)
    wait_for(job.result, 120)
    assert broken_promises(job, twin, len(kinds)) == []
    told = [placed.event for placed in job_events(job) if placed.event.type == "lost"]
    claims = [attempt.claim() for attempt in job.attempts()]
    assert [(event.data["attempt"], event.data["worker"], event.data["host"]) for event in told] == [
        (claim.attempt, claim.owner, claim.host) for claim in claims[: len(kinds)] if claim
    ]
    end = job.attempts()[kinds.index("worker tree")].end()
    assert end is not None
    assert end.error is not None
    assert (end.outcome, end.error.code, end.has_progress, end.retry_at) == ("lost", "worker_lost", True, None)
    assert "ended without a report" in end.error.message
    assert any("from attempt 1" in placed.event.message for placed in job_events(job))


def output_of(attempt: AttemptFolder) -> str:
    return attempt.output_file.read_text() if attempt.output_file.exists() else ""


@pytest.fixture
def start(volume: Volume, redis_server: RedisServer, tmp_path: Path) -> Iterator[Callable[[str], WorkerProcess]]:
    started: list[WorkerProcess] = []

    def start_worker(name: str) -> WorkerProcess:
        settings = {"FITSTOP_MAX_LOSSES": "2", "FITSTOP_ALLOW_CODE": "unboxed"}
        worker = WorkerProcess(volume, redis_server.url, tmp_path / f"{name}.log", **settings)
        started.append(worker)
        worker.start()
        return worker

    yield start_worker
    for worker in started:
        worker.stop()


def test_a_job_that_takes_its_worker_down_each_time_ends_and_names_the_workers_and_others_are_untouched(
    start: Callable[[str], WorkerProcess], volume: Volume, job_queue: JobQueue
) -> None:
    put_dataset(volume, learnable_frame())
    start("careful")
    # It takes hardly any processor time, for as long as the other jobs run.
    beside = put_script_job(volume, "import time\nprint('begins', flush=True)\nwhile True:\n    time.sleep(0.1)\n")
    job_queue.notify(beside.id)
    wait_for(lambda: beside.attempts() and "begins" in output_of(beside.attempts()[0]))
    bad = put_job(volume, small_spec(priority=0))
    for number in (1, 2):
        worker = start(f"victim {number}")
        if number == 1:
            job_queue.notify(bad.id)
        attempt = wait_for(lambda n=number: len(bad.attempts()) == n and bad.attempts()[-1])
        os.kill(worker.pid, signal.SIGKILL)
        wait_for(attempt.end, 30)
    result = wait_for(bad.result)
    assert result.ending.error is not None
    assert (result.ending.status, result.ending.error.code) == ("failed", "worker_lost")
    claims = [attempt.claim() for attempt in bad.attempts()]
    assert len(claims) == 2
    assert all(claim and f"{claim.owner} on {claim.host}" in result.ending.error.message for claim in claims)
    assert [attempt.end() for attempt in beside.attempts()] == [None], "the job beside it runs on"
    beside.request_cancel()
    assert wait_for(beside.result).ending.status == "cancelled"
