"""Requests that were given up, and that the server may carry out all the same, after newer ones for the same file.

A file of an attempt could end as an older one, and one that was removed could stand again. So after LATE_SECONDS, when
nothing that was given up is under way any more, it is uploaded or removed once more, and the attempt ends after that.

Elsewhere a late request is harmless: a create is exclusive, a heartbeat puts a take-over off once, a hint makes others
look once more, nothing is decided by a worker's card, and of an attempt that was lost an older log leaves resume points
that count on more rows, which the next attempt passes over. Not covered is what the API replaces or removes under a
name that it writes again within LATE_SECONDS: the latest version of a program, and a dataset that was deleted.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from shared.stamps import Stamp
from shared.store.interface import StoreError

# As long as the longest request may take (the limit of a large one in shared.store.bucket).
LATE_SECONDS = 120.0


class LateRequests:
    """Those of one writer for its files. `standing` are the stamps of what it uploaded last; None for no file."""

    def __init__(self, standing: Mapping[str, Stamp]) -> None:
        self._standing = standing
        self._given_up: dict[tuple[str, Stamp | None], float] = {}

    @contextmanager
    def watch(self, name: str, stamp: Stamp | None) -> Iterator[None]:
        """Send a request inside that makes the file the one of `stamp`; None: that removes it."""
        began = time.monotonic()
        try:
            yield
        except StoreError:
            self._given_up[name, stamp] = time.monotonic()
            raise
        for key, given_up in list(self._given_up.items()):
            if key[0] == name and began - given_up >= LATE_SECONDS:
                del self._given_up[key]

    def find_unsettled(self) -> set[str]:
        """The files that may still become what they were before."""
        return {name for name, stamp in list(self._given_up) if stamp != self._standing.get(name)}

    def due(self) -> set[str]:
        """Those of them that can be sent once more, for good."""
        latest = time.monotonic() - LATE_SECONDS
        given_up = list(self._given_up.items())
        return {name for (name, stamp), at in given_up if at <= latest and stamp != self._standing.get(name)}
