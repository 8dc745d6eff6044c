"""Requests that were given up, and that the server may still carry out after newer ones for the same file.

Such a request could restore an older version of an attempt's file, or a removed file. So the file is uploaded or
removed again after LATE_SECONDS, when no such request can still be running. The attempt ends after that.

Elsewhere a late request is harmless. A create is exclusive. A heartbeat delays a take-over once. A hint causes one more
look. Nothing is decided by a worker's card. If an older log of a lost attempt returns, the next attempt skips resume
points that count on more rows. Not covered is what the API replaces or removes under a name that it writes again within
LATE_SECONDS: the latest version of a program, and a deleted dataset.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from shared.stamps import Stamp
from shared.store.interface import StoreError

# The limit of the longest request (a large one in shared.store.bucket).
LATE_SECONDS = 120.0


class LateRequests:
    """The late requests of one writer. `standing`: the stamps of its last uploads, without removed files."""

    def __init__(self, standing: Mapping[str, Stamp]) -> None:
        self._standing = standing
        self._given_up: dict[tuple[str, Stamp | None], float] = {}

    @contextmanager
    def watch(self, name: str, stamp: Stamp | None) -> Iterator[None]:
        """Watch the request in the `with` block: it uploads the file of `stamp`; None: it removes the file."""
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
        """The files that a late request may still change back."""
        return {name for name, stamp in list(self._given_up) if stamp != self._standing.get(name)}

    def due(self) -> set[str]:
        """Those of them that can now be restored permanently."""
        latest = time.monotonic() - LATE_SECONDS
        given_up = list(self._given_up.items())
        return {name for (name, stamp), at in given_up if at <= latest and stamp != self._standing.get(name)}
