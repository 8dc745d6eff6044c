"""XLA's programs are kept for later jobs of this and later workers, which start sooner and give the same bits."""

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
from worker.ipc.program_store import put


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def worker(
    shared_volume: Volume, shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> Iterator[WorkerProcess]:
    log = tmp_path_factory.mktemp("log") / "worker.log"
    process = WorkerProcess(shared_volume, shared_redis.url, log, FITSTOP_CACHE=str(cache))
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


def kept(cache: Path) -> dict[Path, int]:
    """Return the kept programs, and when each was written."""
    return kept_files(cache, "threads")


def kept_files(cache: Path, what: str) -> dict[Path, int]:
    """Return the kept files whose names begin with `what`, and when each was written."""
    return {file: file.stat().st_mtime_ns for file in cache.glob(f"compiled-programs/*/{what}-*")}


def replace_content(program: Path, content: bytes) -> None:
    """Put other bytes in a program's place, with the right digest."""
    written = program.parent.parent.parent / program.name
    written.write_bytes(content)
    program.unlink()
    put(program.parent, written)
    written.unlink()


def test_a_job_of_the_same_shapes_compiles_nothing_and_ends_equal_also_after_a_restart_of_the_worker(
    worker: WorkerProcess, shared_volume: Volume, shared_job_queue: JobQueue, cache: Path
) -> None:
    first = done(shared_volume, shared_job_queue)
    programs = kept(cache)
    assert len(programs) == 2, "one trains and one validates"
    traces = kept_files(cache, "traces")
    assert len(traces) == 1
    second = done(shared_volume, shared_job_queue)
    worker.stop()
    worker.start()
    third = done(shared_volume, shared_job_queue)
    assert kept(cache) == programs
    assert kept_files(cache, "traces") == traces
    assert outcome(third) == outcome(second) == outcome(first)
    done(shared_volume, shared_job_queue, batch_size=16)
    assert len(kept(cache)) > 2


@pytest.mark.usefixtures("worker")
def test_the_stock_engine_which_compiles_in_the_middle_of_its_run_keeps_none(
    shared_volume: Volume, shared_job_queue: JobQueue, cache: Path
) -> None:
    programs = kept(cache)
    done(shared_volume, shared_job_queue, engine="stock")
    assert kept(cache) == programs


@pytest.mark.usefixtures("worker")
def test_a_damaged_program_is_compiled_again_and_the_job_ends_equal_in_one_attempt(
    shared_volume: Volume, shared_job_queue: JobQueue, cache: Path
) -> None:
    whole = done(shared_volume, shared_job_queue)
    for number, file in enumerate(kept(cache)):
        content = bytearray(file.read_bytes())
        content[-1000] ^= 1
        file.write_bytes(content if number % 2 else content[:1000])
    job = done(shared_volume, shared_job_queue)
    assert outcome(job) == outcome(whole)
    assert len(job.attempts()) == 1


@pytest.mark.usefixtures("worker")
def test_where_a_kept_program_cannot_be_loaded_the_job_begins_again_without_any_and_ends_equal(
    shared_volume: Volume, shared_job_queue: JobQueue, cache: Path
) -> None:
    whole = done(shared_volume, shared_job_queue)
    for file in kept(cache):
        replace_content(file, b"XLA cannot load this")
    job = done(shared_volume, shared_job_queue)
    assert outcome(job) == outcome(whole)
    first, second = (attempt.end() for attempt in job.attempts())
    assert first is not None
    assert second is not None
    assert (first.outcome, first.is_failure, second.outcome) == ("handed_back", False, "finished")
    messages = [placed.event.message for placed in job_events(job) if placed.event.type == "engine"]
    assert messages[0].startswith("restarts without the compiled programs of earlier jobs")
    assert len(done(shared_volume, shared_job_queue).attempts()) == 1
    assert kept(cache) == {}, "this worker has given them up"


def test_the_folder_of_a_worker_goes_with_it_and_that_of_one_that_was_killed_with_the_next(
    shared_volume: Volume, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Not named after the test: the path of a socket has at most 107 bytes.
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
