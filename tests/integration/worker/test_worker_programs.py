"""XLA's programs are kept from one job to the next while a worker lives: sooner, and the same to the last bit."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.events import job_events
from shared.job_folder import JobFolder
from shared.queue import JobQueue
from shared.volume import Volume
from tests.support.jobs import put_job, small_spec
from tests.support.killing import outcome
from tests.support.redis import RedisServer
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def worker(
    shared_volume: Volume, shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory, temporary: Path
) -> Iterator[WorkerProcess]:
    log = tmp_path_factory.mktemp("log") / "worker.log"
    process = WorkerProcess(shared_volume, shared_redis.url, log, TMPDIR=str(temporary))
    process.start()
    yield process
    process.stop()


def done(volume: Volume, job_queue: JobQueue, **hyperparameters: object) -> JobFolder:
    job = put_job(volume, small_spec(hyperparameters={"epochs": 3, "xla": True, **hyperparameters}))
    job_queue.notify(job.id)
    result = wait_for(job.result, 60)
    assert result.ending.status == "succeeded"
    plan = job.plan()
    assert plan is not None
    assert (plan.engine, plan.xla) == (hyperparameters.get("engine", "fused"), True)
    return job


def kept(temporary: Path) -> dict[Path, int]:
    """The kept programs, and when each was written."""
    files = (file for folder in temporary.glob("fitstop-programs-*") for file in folder.glob("threads-*"))
    return {file: file.stat().st_mtime_ns for file in files}


@pytest.mark.usefixtures("worker")
def test_a_job_of_the_same_shapes_compiles_nothing_and_ends_equal(
    shared_volume: Volume, shared_job_queue: JobQueue, temporary: Path
) -> None:
    first = done(shared_volume, shared_job_queue)
    programs = kept(temporary)
    assert len(programs) == 2, "one trains and one validates"
    second = done(shared_volume, shared_job_queue)
    assert kept(temporary) == programs
    assert outcome(second) == outcome(first)
    done(shared_volume, shared_job_queue, batch_size=16)
    assert len(kept(temporary)) > 2


@pytest.mark.usefixtures("worker")
def test_the_stock_engine_which_compiles_in_the_middle_of_its_run_keeps_none(
    shared_volume: Volume, shared_job_queue: JobQueue, temporary: Path
) -> None:
    programs = kept(temporary)
    done(shared_volume, shared_job_queue, engine="stock")
    assert kept(temporary) == programs


@pytest.mark.usefixtures("worker")
def test_where_a_kept_program_is_torn_the_job_begins_anew_without_any_and_ends_equal(
    shared_volume: Volume, shared_job_queue: JobQueue, temporary: Path
) -> None:
    whole = done(shared_volume, shared_job_queue)
    for file in kept(temporary):
        file.write_bytes(file.read_bytes()[:1000])
    job = done(shared_volume, shared_job_queue)
    assert outcome(job) == outcome(whole)
    first, second = (attempt.end() for attempt in job.attempts())
    assert first is not None
    assert second is not None
    assert (first.outcome, first.is_failure, second.outcome) == ("handed_back", False, "finished")
    told = [placed.event.message for placed in job_events(job) if placed.event.type == "engine"]
    assert told[0].startswith("restarts without the compiled programs of earlier jobs")
    assert len(done(shared_volume, shared_job_queue).attempts()) == 1


def test_the_folder_of_a_worker_goes_with_it_and_that_of_one_that_was_killed_with_the_next(
    shared_volume: Volume, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Not named after the test: the path of a socket has 107 bytes at most.
    folder = tmp_path_factory.mktemp("temporary")
    worker = WorkerProcess(shared_volume, redis_server.url, folder / "worker.log", TMPDIR=str(folder))
    try:
        worker.begin()
        [left] = wait_for(lambda: list(folder.glob("fitstop-programs-*")))
        worker.stop()
        worker.start()
        [own] = folder.glob("fitstop-programs-*")
        assert own != left
        worker.send(signal.SIGTERM)
        wait_for(lambda: not worker.is_alive())
        assert not own.exists()
    finally:
        worker.stop()
