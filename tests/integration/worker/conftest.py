"""A real Redis and a real worker. The tests of a module share the worker, since it takes seconds to warm up.

Each volume has its own Redis: on a shared one, a worker takes the notifications of another volume's jobs. That can
continue for minutes: of two workers that wait a second at a time, Redis serves the one that it served last.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.queue import JobQueue
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset
from tests.support.redis import RedisServer, job_queue_of, running_redis
from tests.support.worker_process import WorkerProcess

# In the environment of the shared worker. No training process gets them.
SECRETS = {"RUNPOD_API_KEY": "planted-1", "AWS_SECRET_ACCESS_KEY": "planted-2", "FITSTOP_API_KEY": "planted-3"}


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """The Redis of the test's own volume."""
    (folder := tmp_path / "redis").mkdir()
    with running_redis(folder) as server:
        yield server


@pytest.fixture
def job_queue(redis_server: RedisServer) -> JobQueue:
    return job_queue_of(redis_server)


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def shared_volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    volume = Volume(tmp_path_factory.mktemp("volume"))
    put_dataset(volume, learnable_frame())
    return volume


@pytest.fixture(scope="module")
def shared_job_queue(shared_redis: RedisServer) -> JobQueue:
    return job_queue_of(shared_redis)


@pytest.fixture(scope="module")
def worker(
    shared_volume: Volume, shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    log: Path = tmp_path_factory.mktemp("log") / "worker.log"
    process = WorkerProcess(shared_volume, shared_redis.url, log, **SECRETS)
    process.start()
    yield process
    process.stop()
