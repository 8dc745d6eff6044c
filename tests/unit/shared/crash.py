"""A process that dies between two changes to the disk or the bucket, within this process and within microseconds.

Once the chosen change is reached, it and every later one raises: what a `finally` would tidy up stays, as it does
after SIGKILL.
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

    of_disk = {name: dying(getattr(os, name)) for name in CHANGES}
    of_bucket = {name: dying(getattr(BucketStore, name)) for name in CHANGES_OF_BUCKET}
    with patch.multiple(os, **of_disk), patch.multiple(BucketStore, **of_bucket), suppress(Crash):
        yield
