"""The app on the test's own volume, with a queue that has no Redis."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api import create_app
from api.state.service import Service
from shared.dataset import DatasetInfo
from shared.job_folder import JobFolder
from shared.settings import Settings
from shared.volume import Volume
from tests.support.both_stores import Machines
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.keys import ADMIN_KEY, authorized


@pytest.fixture
def settings(machines: Machines) -> Settings:
    return Settings(
        volume=machines.volume.root,
        redis_url="redis://127.0.0.1:1/0",
        admin_key=ADMIN_KEY,
        max_streams=2,
        max_job_bytes=4096,
        max_dataset_bytes=200_000,
        max_dataset_cells=40_000,
        max_dataset_columns=50,
    )


@pytest.fixture
def app(settings: Settings) -> Flask:
    return create_app(settings)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return authorized(app)


@pytest.fixture
def volume(app: Flask) -> Volume:
    return Service.of(app).volume


@pytest.fixture
def grades(volume: Volume) -> DatasetInfo:
    """A dataset of 240 rows: kind, a, b, c, and the integer target grade."""
    return put_dataset(volume, learnable_frame())


@pytest.fixture
def job(volume: Volume, grades: DatasetInfo) -> JobFolder:
    """A waiting job of 4 epochs."""
    return put_job(volume, small_spec())


@pytest.fixture
def new_job(volume: Volume, grades: DatasetInfo) -> Callable[..., JobFolder]:
    """A function that puts another waiting job."""

    def put(**parts: Any) -> JobFolder:
        return put_job(volume, small_spec(**parts))

    return put
