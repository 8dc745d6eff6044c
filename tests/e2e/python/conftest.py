"""The public package as a user's program has it, over the stack of these tests."""

import pytest

import fitstop


@pytest.fixture
def connected(stack, monkeypatch):
    """The stack, which `fitstop` finds by the environment, as in a shell beside it."""
    monkeypatch.setenv("FITSTOP_DATA", str(stack.data))
    return stack


@pytest.fixture
def client(connected):
    with fitstop.Client() as client:
        yield client
