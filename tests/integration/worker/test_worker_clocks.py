"""Time in which no worker trains costs nothing, whatever the workers' wall clocks show."""

import time
from pathlib import Path

import pytest

from proofs.chaos.preload import Preload, build_library
from shared.history import JobReader
from shared.job_folder import JobFolder
from shared.ledger import ledger
from shared.queue import JobQueue
from shared.volume import Volume
from tests.support.jobs import put_job, small_spec
from tests.support.redis import RedisServer
from tests.support.waiting import wait_for
from tests.support.worker_process import QUICK, WorkerProcess

BUDGET_SECONDS = 12.0
HOUR, DAY = 3600, 86_400


def trains(job: JobFolder, attempt: int) -> bool:
    attempts = job.attempts()
    return len(attempts) == attempt and attempts[-1].training_log.exists()


def test_a_job_whose_worker_was_away_for_longer_than_its_budget_goes_on_and_pays_for_its_training_alone(
    shared_volume: Volume, redis_server: RedisServer, job_queue: JobQueue, tmp_path: Path
) -> None:
    library = build_library(tmp_path)
    if library is None:
        pytest.skip("there is no C compiler for a clock that can be stepped")
    clocks = [Preload(library, tmp_path / f"{name}.state", shared_volume.root) for name in ("first", "second")]
    clocks[0].step_clock(DAY)
    first, second = (
        WorkerProcess(shared_volume, redis_server.url, tmp_path / f"{number}.log", **clock.environment)
        for number, clock in enumerate(clocks)
    )
    endless = small_spec(
        hyperparameters={"epochs": 50_000, "xla": False},
        callbacks={"early_stopping": None},
        budget={"max_gpu_seconds": BUDGET_SECONDS},
    )
    try:
        first.start()
        job = put_job(shared_volume, endless)
        posted = time.monotonic()
        job_queue.notify(job.id)
        wait_for(lambda: trains(job, 1))
        clocks[0].step_clock(DAY - 2 * HOUR)
        first.stop()
        lived = time.monotonic() - posted
        stopped = time.monotonic()
        wait_for(lambda: time.monotonic() - stopped > BUDGET_SECONDS, saying="longer than what is left of the budget")
        second.start()
        wait_for(lambda: trains(job, 2), 60, saying="the second worker goes on")
        clocks[1].step_clock(2 * HOUR)
        result = wait_for(job.result, 60)
    finally:
        first.stop()
        second.stop()

    assert result.ending.stop is not None
    assert (result.ending.status, result.ending.stop.reason) == ("succeeded", "budget")
    history = JobReader(job).read_on()
    assert history is not None
    lost, last = history.attempts
    assert lost.end is not None
    assert lost.end.outcome == "lost"
    assert 0 < lost.held / 1e6 <= lived + float(QUICK["FITSTOP_HEARTBEAT_SECONDS"])
    away = (last.claimed - lost.claimed - lost.held) / 1e6
    assert away > BUDGET_SECONDS - lost.held / 1e6, "else the test shows nothing"
    found = ledger(history)
    assert found.total / 1e6 == pytest.approx(BUDGET_SECONDS, abs=4.0)
    assert found.waiting / 1e6 >= away
    assert sum(found.part(name) for name in ("start_up", "learning", "patience", "redone", "saving")) == found.total
