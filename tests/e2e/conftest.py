"""One local stack, shared by all tests that only use it."""

import os

import pytest

from fitstop.local.redis_server import find_redis_server
from fitstop.local.stack import LocalStack, StackOptions
from tests.support.redis import free_port


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """A stack that is ready; `url` is its address, `data` its data folder."""
    if find_redis_server() is None:
        pytest.skip("no Redis server here")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FITSTOP_")}
    said = []
    with LocalStack(
        StackOptions(tmp_path_factory.mktemp("stack") / "data", port=free_port()), said.append, environment
    ) as stack:
        stack.start()
        stack.wait_ready(120)
        yield stack
    # The Redis of the wheel is old, and the stack reports that.
    assert [one for one in said if not one.startswith("the bundled Redis")] == []
