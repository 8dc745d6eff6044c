"""Jobs whose processes are taken away again and again, with the limits that the product has."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proofs.lost_often import broken_promises
from shared.events import job_events
from shared.queue import JobQueue
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.losing import Stand, some_kinds
from tests.support.redis import RedisServer
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess

SEED = 3


@pytest.fixture
def stand(volume: Volume, redis_server: RedisServer, job_queue: JobQueue, tmp_path: Path) -> Iterator[Stand]:
    put_dataset(volume, learnable_frame(4000))
    stand = Stand(volume, redis_server, job_queue, tmp_path / "workers", workers=1)
    stand.start()
    yield stand
    stand.stop()


def test_a_job_that_is_lost_more_often_than_it_may_fail_ends_as_its_untouched_twin(stand: Stand) -> None:
    twin = stand.post(25)
    wait_for(twin.result, 120)
    job = stand.post(25)
    kinds = some_kinds(random.Random(SEED), ["child", "worker tree"], 5)
    for number, kind in enumerate(kinds):
        stand.lose(job, kind, after_progress=number != 2, wipe_redis=number == 3)
    wait_for(job.result, 120)
    assert broken_promises(job, twin, len(kinds)) == []
    told = [placed.event for placed in job_events(job) if placed.event.type == "lost"]
    claims = [attempt.claim() for attempt in job.attempts()]
    assert [(event.data["attempt"], event.data["worker"], event.data["host"]) for event in told] == [
        (claim.attempt, claim.owner, claim.host) for claim in claims[: len(kinds)] if claim
    ]


def test_a_worker_that_starts_again_ends_what_it_left_without_waiting_for_the_take_over(
    volume: Volume, redis_server: RedisServer, job_queue: JobQueue, tmp_path: Path
) -> None:
    put_dataset(volume, learnable_frame(4000))
    late = {"FITSTOP_HEARTBEAT_SECONDS": "1", "FITSTOP_SELF_STOP_SECONDS": "900", "FITSTOP_TAKE_OVER_SECONDS": "1000"}
    stand = Stand(volume, redis_server, job_queue, tmp_path / "workers", workers=1, times=late)
    stand.start()
    try:
        job = stand.post(1000)
        stand.lose(job, "worker tree")
        first, second = wait_for(lambda: len(job.attempts()) == 2 and job.attempts(), 120)
        end = first.end()
        assert end is not None
        assert end.error is not None
        assert (end.outcome, end.error.code, end.has_progress, end.retry_at) == ("lost", "worker_lost", True, None)
        assert "has ended without a word" in end.error.message
        wait_for(lambda: any("from attempt 1" in placed.event.message for placed in job_events(job)))
        assert second.end() is None
    finally:
        stand.stop()


@pytest.fixture
def start(volume: Volume, redis_server: RedisServer, tmp_path: Path) -> Iterator[Callable[[str], WorkerProcess]]:
    started: list[WorkerProcess] = []

    def start_worker(name: str) -> WorkerProcess:
        worker = WorkerProcess(volume, redis_server.url, tmp_path / f"{name}.log", FITSTOP_MAX_LOSSES="3")
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
    beside = put_job(volume, small_spec(hyperparameters={"epochs": 100_000}, callbacks={"early_stopping": None}))
    job_queue.notify(beside.id)
    wait_for(lambda: beside.attempts() and beside.attempts()[0].training_log.exists())
    bad = put_job(volume, small_spec(priority=0))
    for number in range(1, 4):
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
    assert len(claims) == 3
    assert all(claim and f"{claim.owner} on {claim.host}" in result.ending.error.message for claim in claims)
    assert [attempt.end() for attempt in beside.attempts()] == [None], "the job beside it trains on"
    beside.request_cancel()
    assert wait_for(beside.result).ending.status == "cancelled"
