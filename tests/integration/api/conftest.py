"""The API as it is served, on a real Redis."""

from collections.abc import Iterator

import pytest

from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.redis import RedisServer, running_redis


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def api(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """One API for all tests of this folder that do not stop it."""
    folder = tmp_path_factory.mktemp("api")
    served = ApiProcess(
        Volume(folder / "volume"),
        redis_server.url,
        folder / "api.log",
        FITSTOP_MAX_DATASET_BYTES="3000000",
        FITSTOP_MAX_STREAMS="4",
    )
    served.start()
    try:
        yield served
    finally:
        served.stop()
