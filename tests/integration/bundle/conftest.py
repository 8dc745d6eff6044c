"""A real API for the tests of bundles; they need no queue."""

import pytest

from tests.support.api_process import ApiProcess


@pytest.fixture
def api(volume, tmp_path):
    api = ApiProcess(volume, "redis://127.0.0.1:1/0", tmp_path / "api.log")
    api.start()
    yield api
    api.stop()
