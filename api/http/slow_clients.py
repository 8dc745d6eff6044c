"""Deadlines for clients that send slowly: each holds a thread, and a few bytes a minute would hold it for hours."""

import contextlib
import logging
import socket
import threading
import time
from typing import IO

DISCARD_SECONDS = 10.0

_PIECE_BYTES = 64 * 1024

log = logging.getLogger(__name__)


class Deadlines:
    """Sockets that somebody reads from, each with the moment until which what is read has to be there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[socket.socket, float] = {}
        self._cut: set[socket.socket] = set()

    def set(self, client: socket.socket, seconds: float) -> None:
        """Expect the next part within `seconds`."""
        with self._lock:
            self._until[client] = time.monotonic() + seconds

    def clear(self, client: socket.socket) -> bool:
        """The part is there, or the end: whether the end came because the deadline had passed."""
        with self._lock:
            self._until.pop(client, None)
            was_cut = client in self._cut
            self._cut.discard(client)
        return was_cut

    def enforce(self) -> None:
        """Let every read that is too late find the end of its connection; it can still be answered."""
        now = time.monotonic()
        with self._lock:
            late = [client for client, until in self._until.items() if until < now]
            for client in late:
                del self._until[client]
                self._cut.add(client)
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RD)


# One for the process, as the sockets are: gunicorn's main loop enforces it, the threads set it.
DEADLINES = Deadlines()


def discard_rest(client: socket.socket, body: IO[bytes]) -> None:
    """Take for some seconds what a client still sends with a request that was answered early.

    Most clients send everything before they listen: without this they find their connection broken, and no answer.
    """
    DEADLINES.set(client, DISCARD_SECONDS)
    try:
        while body.read(_PIECE_BYTES):
            pass
    except Exception as error:
        # The server's own errors for a torn connection share no base class, and the answer is out already.
        log.debug("the rest of a refused body could not be read: %s", error)
    finally:
        DEADLINES.clear(client)
