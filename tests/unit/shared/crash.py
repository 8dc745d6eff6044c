"""Simulate a process that dies between two changes to the disk or the bucket, in this process and in microseconds.

The chosen change and every later one raise, so what a `finally` would clean up stays, as after SIGKILL.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

from shared.store.bucket import BucketStore

CHANGES = ("link", "replace", "unlink", "mkdir", "fsync", "rename")
CHANGES_OF_BUCKET = ("create_as", "replace", "remove")


class Crash(BaseException):
    """The process is dead. Only the test may catch this."""


@contextmanager
def dying_at(change: int | None) -> Iterator[None]:
    """Die at the `change`-th change (from 1) inside the block instead of making it; never if `change` is None."""
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

    of_disk = {name: dying(getattr(os, name)) for name in CHANGES}
    of_bucket = {name: dying(getattr(BucketStore, name)) for name in CHANGES_OF_BUCKET}
    with patch.multiple(os, **of_disk), patch.multiple(BucketStore, **of_bucket), suppress(Crash):
        yield
