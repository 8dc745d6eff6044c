"""A real Redis and a real worker; the worker is shared by the tests of a module, since it takes seconds to warm up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.queue import Doorbell, make_celery
from shared.settings import read_settings
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset
from tests.support.redis import RedisServer, running_redis
from tests.support.worker_process import WorkerProcess


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def shared_volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    volume = Volume(tmp_path_factory.mktemp("volume"))
    put_dataset(volume, learnable_frame())
    return volume


@pytest.fixture(scope="module")
def doorbell(redis_server: RedisServer) -> Doorbell:
    return Doorbell(make_celery(read_settings({"FITSTOP_REDIS_URL": redis_server.url})))


@pytest.fixture(scope="module")
def worker(
    shared_volume: Volume, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    log: Path = tmp_path_factory.mktemp("log") / "worker.log"
    process = WorkerProcess(shared_volume, redis_server.url, log)
    process.start()
    yield process
    process.stop()
