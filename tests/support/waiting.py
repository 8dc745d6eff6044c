"""Waiting for something to become true, with a deadline and never with a bare sleep."""

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

_Value = TypeVar("_Value")

# The limits are of a machine that does nothing else; other tests have its cores too, and only a hang should fail.
_ROOM, _LEAST_SECONDS = 4, 60.0


def wait_for(what: Callable[[], _Value], within: float = 60.0, every: float = 0.02, saying: str = "") -> _Value:
    """The first truthy answer of `what`; fails the test when there is none in four times `within` seconds.

    A minute at least: a test that promises a time measures it by itself.
    """
    within = max(_ROOM * within, _LEAST_SECONDS)
    deadline = time.monotonic() + within
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {saying or what}")
        time.sleep(every)


def wait_for_end(process: "subprocess.Popen[bytes]", within: float) -> int:
    """The status with which a process ends."""
    wait_for(lambda: process.poll() is not None, within, saying=f"{process.args!r} ends")
    return process.wait()
