"""Waits for a condition with a deadline, never with a bare sleep."""

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

_Value = TypeVar("_Value")

# Callers give limits for an idle machine. Other tests use its cores too, and only a hang should fail.
_ROOM, _LEAST_SECONDS = 4, 60.0


def wait_for(what: Callable[[], _Value], within: float = 60.0, every: float = 0.02, saying: str = "") -> _Value:
    """Return the first truthy answer of `what`. Fails the test after four times `within` seconds, at least a minute.

    A test that promises a time measures it by itself.
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
    """Wait for the end of a process, and return its exit status."""
    wait_for(lambda: process.poll() is not None, within, saying=f"{process.args!r} ends")
    return process.wait()
