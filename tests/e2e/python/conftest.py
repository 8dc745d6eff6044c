"""The public package as a user's program uses it, on the stack of these tests."""

import pytest

import fitstop


@pytest.fixture
def connected(stack, monkeypatch):
    """The stack, which `fitstop` finds through the environment, as in a shell."""
    monkeypatch.setenv("FITSTOP_DATA", str(stack.data))
    return stack


@pytest.fixture
def client(connected):
    with fitstop.Client() as client:
        yield client
