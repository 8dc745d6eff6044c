"""The fork server for the runs that tests start and kill."""

from multiprocessing.context import ForkServerContext

import pytest

from tests.support.killing import preloaded_forks


@pytest.fixture(scope="session")
def forks() -> ForkServerContext:
    return preloaded_forks()
