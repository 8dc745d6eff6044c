"""A process that dies between two changes to the disk, within this process and within microseconds.

Once the chosen change is reached, it and every later one raises: what a `finally` would tidy up stays, as it does
after SIGKILL.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

CHANGES = ("link", "replace", "unlink", "mkdir", "fsync", "rename")


class Crash(BaseException):
    """The process is dead; nobody may catch it but the test."""


@contextmanager
def dying_at(change: int | None) -> Iterator[None]:
    """Die instead of making the `change`-th change (from 1) of what is inside; never where it is None."""
    if change is None:
        yield
        return
    made = 0

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal made
            made += 1
            if made >= change:
                raise Crash
            return call(*arguments, **options)

        return counted

    with patch.multiple(os, **{name: dying(getattr(os, name)) for name in CHANGES}), suppress(Crash):
        yield
