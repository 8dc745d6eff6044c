"""A real service and a browser, started once for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.browser import Visitor, chromium_program, running_browser
from tests.support.jobs import learnable_frame, put_dataset
from tests.support.redis import running_redis
from tests.support.worker_process import WorkerProcess


@pytest.fixture(scope="session")
def page_volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    """The service's volume, with the dataset `grades`."""
    volume = Volume(tmp_path_factory.mktemp("page") / "volume")
    put_dataset(volume, learnable_frame())
    return volume


@pytest.fixture(scope="session")
def page_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="session")
def page_api(page_volume: Volume, page_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    chromium_program()
    served = ApiProcess(page_volume, page_redis, tmp_path_factory.mktemp("log") / "api.log")
    served.start()
    try:
        yield served
    finally:
        served.stop()


@pytest.fixture(scope="session")
def page_worker(
    page_volume: Volume, page_redis: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    """A worker that costs 2 USD per hour. Only tests that train use it."""
    log = tmp_path_factory.mktemp("log") / "worker.log"
    process = WorkerProcess(page_volume, page_redis, log, FITSTOP_GPU_PRICE_PER_HOUR="2")
    process.start()
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    with running_browser() as running:
        yield running


@pytest.fixture
def visitor(browser: object, page_api: ApiProcess) -> Iterator[Visitor]:
    """A browser at the service. Fails the test if a script failed or the page's policy was violated."""
    visiting = Visitor(browser, page_api, [])
    yield visiting
    assert visiting.complaints == []


@pytest.fixture(scope="session")
def still_api(page_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    yield from _without_a_worker(page_redis, tmp_path_factory.mktemp("still"))


@pytest.fixture
def still(browser: object, still_api: ApiProcess) -> Iterator[Visitor]:
    """A browser at a service without a worker, so that only the test changes its jobs."""
    visiting = Visitor(browser, still_api, [])
    yield visiting
    assert visiting.complaints == []


@pytest.fixture
def empty(browser: object, page_redis: str, tmp_path: Path) -> Iterator[Visitor]:
    """A browser at the test's own service without a worker, which has no jobs yet."""
    for served in _without_a_worker(page_redis, tmp_path):
        visiting = Visitor(browser, served, [])
        yield visiting
        assert visiting.complaints == []


def _without_a_worker(redis_url: str, folder: Path) -> Iterator[ApiProcess]:
    volume = Volume(folder / "volume")
    put_dataset(volume, learnable_frame())
    served = ApiProcess(volume, redis_url, folder / "api.log")
    served.start()
    try:
        yield served
    finally:
        served.stop()
