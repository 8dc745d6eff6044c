"""What happens to jobs when their worker stops, freezes or is killed."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.events import job_events
from shared.job_folder import JobFolder
from shared.queue import QUEUE, JobQueue
from shared.volume import Volume
from tests.support.jobs import LONG, learnable_frame, put_dataset, put_job, small_spec
from tests.support.redis import RedisServer, job_queue_of, running_redis
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess, descendants, is_running


@pytest.fixture(scope="module")
def hardy_worker(
    shared_volume: Volume, shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    """One worker for the tests of this file that it survives; it starts on a Redis whose keys have wrong types."""
    _spoil(shared_redis)
    process = WorkerProcess(shared_volume, shared_redis.url, tmp_path_factory.mktemp("log") / "worker.log")
    process.start()
    yield process
    process.stop()


@dataclass
class Pair:
    """Two workers on a volume of their own. Both survive the first of the two tests, and one of them the second."""

    volume: Volume
    queue: JobQueue
    workers: list[WorkerProcess]

    def post(self) -> JobFolder:
        job = put_job(self.volume, LONG)
        self.queue.notify(job.id)
        return job

    def worker_of(self, job: JobFolder) -> WorkerProcess | None:
        """Return the worker whose card shows that it runs the job."""
        pids = {run.job: card.pid for card in self.volume.worker_cards() for run in card.running}
        return next((worker for worker in self.workers if worker.pid == pids.get(job.id)), None)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    volume = Volume(tmp_path_factory.mktemp("pair"))
    put_dataset(volume, learnable_frame())
    logs = tmp_path_factory.mktemp("logs")
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        workers = [WorkerProcess(volume, server.url, logs / f"{name}.log") for name in ("first", "second")]
        try:
            for worker in workers:
                worker.start()
            yield Pair(volume, job_queue_of(server), workers)
        finally:
            for worker in workers:
                worker.stop()


def trains(job: JobFolder, attempt: int = 1) -> bool:
    attempts = job.attempts()
    return len(attempts) >= attempt and attempts[attempt - 1].training_log.exists()


def _spoil(redis_server: RedisServer) -> None:
    """Give every key that Celery uses, and that older versions used, a wrong type."""
    bindings = (f"_kombu.binding.{QUEUE}", f"_kombu.binding_permanent.{QUEUE}", "_kombu.binding.celery")
    with redis_server.client() as client:
        found = {name.decode() for name in client.keys("*")}
        for name in {QUEUE, f"{QUEUE}\x06\x163", "unacked", "unacked_index", "unacked_mutex", *bindings, *found}:
            client.delete(name)
            client.set(name, "no list, set or table")


def test_keys_of_a_wrong_type_in_redis_do_not_end_a_worker(
    hardy_worker: WorkerProcess, shared_volume: Volume, shared_redis: RedisServer
) -> None:
    for _ in range(2):
        job = put_job(shared_volume, small_spec())
        assert wait_for(job.result, 90).ending.status == "succeeded"
        _spoil(shared_redis)
    assert hardy_worker.is_alive()


def test_a_worker_without_redis_finds_jobs_when_redis_is_back(
    hardy_worker: WorkerProcess, shared_volume: Volume, shared_redis: RedisServer
) -> None:
    shared_redis.kill()
    job = put_job(shared_volume, small_spec())
    shared_redis.start()
    assert wait_for(job.result, 60).ending.status == "succeeded"
    assert hardy_worker.is_alive()


# The last test with the worker that all of them share.
def test_a_worker_stays_without_a_job_and_sigterm_hands_one_back_without_counting_a_failure(
    hardy_worker: WorkerProcess, shared_volume: Volume, shared_job_queue: JobQueue
) -> None:
    first = shared_volume.worker_cards()[0].seen_at
    wait_for(lambda: shared_volume.worker_cards()[0].seen_at != first, saying="another look at itself")
    assert hardy_worker.is_alive()
    job = put_job(shared_volume, LONG)
    shared_job_queue.notify(job.id)
    wait_for(lambda: trains(job))
    below = descendants(hardy_worker.pid)
    hardy_worker.send(signal.SIGTERM)
    assert hardy_worker.wait(20) == 0
    end = job.attempts()[0].end()
    assert end is not None
    assert (end.outcome, end.is_failure, end.retry_at) == ("handed_back", False, None)
    state = job.state()
    assert state is not None
    assert state.status == "queued"
    assert shared_volume.worker_cards() == []
    wait_for(lambda: not any(is_running(pid) for pid in below), saying="no process is left")


def test_a_wrong_variable_stops_the_start_and_is_named(volume: Volume, tmp_path: Path) -> None:
    worker = WorkerProcess(volume, "redis://127.0.0.1:1/0", tmp_path / "worker.log", FITSTOP_SLOST="2")
    with pytest.raises(AssertionError):
        worker.start()
    assert worker.wait() == 2
    assert 'FITSTOP_SLOST=2: unknown variable. Did you mean "FITSTOP_SLOTS"?' in worker.log.read_text()


def test_a_worker_on_a_bare_mount_point_makes_nothing_there_and_waits_for_the_volume(
    volume: Volume, redis_server: RedisServer, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    log = tmp_path / "waits.log"
    worker = WorkerProcess(volume, redis_server.url, log, FITSTOP_VOLUME=str(bare))
    worker.begin()
    try:
        wait_for(lambda: "there is no Fitstop volume at" in log.read_text(), 30)
        assert list(bare.iterdir()) == []
        mounted = Volume(bare)
        wait_for(lambda: [card for card in mounted.worker_cards() if card.ready], 60)
    finally:
        worker.stop()


def test_a_frozen_machine_is_taken_over_and_when_it_thaws_its_child_stops_and_nobody_sees_what_it_writes(
    pair: Pair,
) -> None:
    job = pair.post()
    wait_for(lambda: trains(job) and any(job.attempts()[0].resume.glob("point-*")))
    worker = wait_for(lambda: pair.worker_of(job))
    child = worker.training_process()
    frozen = [worker.pid, *descendants(worker.pid)]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: trains(job, attempt=2), 45, saying="the other worker took over")
    seen = [placed.event for placed in job_events(job) if placed.attempt == 1]
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: not is_running(child), 5, saying="the thawed child stops")
    wait_for(lambda: any(card.pid == worker.pid and card.ready for card in pair.volume.worker_cards()), 20)
    assert [placed.event for placed in job_events(job) if placed.attempt == 1] == seen
    assert len(job.attempts()) == 2
    assert job.attempts()[0].conclusion() is None
    job.request_cancel()
    assert wait_for(job.result).attempt == 2


# The last test with the pair: one of the two workers is killed.
def test_a_killed_worker_takes_its_children_along_and_another_goes_on(pair: Pair) -> None:
    job = pair.post()
    wait_for(lambda: trains(job))
    worker = wait_for(lambda: pair.worker_of(job))
    below = descendants(worker.pid)
    assert len(below) >= 2
    worker.send(signal.SIGKILL)
    wait_for(lambda: not any(is_running(pid) for pid in below), 10, saying="the children die with the worker")
    wait_for(lambda: trains(job, attempt=2), 45, saying="the other worker took over")
    end = job.attempts()[0].end()
    assert end is not None
    assert end.error is not None
    assert (end.outcome, end.error.code) == ("lost", "worker_lost")
    job.request_cancel()
    assert wait_for(job.result).attempt == 2


def test_a_training_process_that_takes_more_memory_than_its_limit_is_ended_and_the_worker_lives(
    volume: Volume, redis_server: RedisServer, tmp_path: Path, job_queue: JobQueue
) -> None:
    put_dataset(volume, learnable_frame())
    worker = WorkerProcess(
        volume,
        redis_server.url,
        tmp_path / "worker.log",
        FITSTOP_MAX_TRAINING_BYTES="1000000",
        FITSTOP_MAX_FAILURES="1",
    )
    worker.start()
    try:
        job = put_job(volume, small_spec())
        job_queue.notify(job.id)
        error = wait_for(job.result, 60).ending.error
        assert error is not None
        assert error.code in {"data_larger_than_memory", "out_of_memory_host"}
        assert worker.is_alive()
    finally:
        worker.stop()
