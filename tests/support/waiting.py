"""Waiting for something to become true, with a deadline and never with a bare sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

_Value = TypeVar("_Value")


def wait_for(what: Callable[[], _Value], within: float = 60.0, every: float = 0.02, saying: str = "") -> _Value:
    """The first truthy answer of `what`; fails the test when there is none within so many seconds."""
    deadline = time.monotonic() + within
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {saying or what}")
        time.sleep(every)
