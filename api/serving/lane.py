"""A lane for clients that ask for something short again and again, such as a job: one thread answers them all.

A thread for each costs more than most answers do, and threads that fight for Python make some clients wait several
times as long as others. In the lane they are answered in the order in which they ask.
"""

import logging
import re
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from api.http.turns import MOST_SECONDS, SHORT

# So long a client may be silent in the lane.
IDLE_SECONDS = 0.5
_PEEKED_BYTES = 16 * 1024
_SHORT = re.compile(rf"GET {SHORT} HTTP/1\.1\r\n".encode())
_MORE_TO_COME = re.compile(rb"\r\n(?:content-length:(?! *0\r\n)|transfer-encoding:|expect:|upgrade:)", re.IGNORECASE)

log = logging.getLogger(__name__)


class Lane:
    """Connections between two requests, and the thread that answers the short ones among the next.

    `answer` answers the request that waits on a connection, and says whether the connection can be kept. `leave` takes
    each that leaves, and whether it can be kept: one with a request that is not short, one that was silent for a while,
    one that ends. Both are called in the lane's thread, `leave` in that of `end`, too. To the lane a connection is its
    socket `sock`, and `parser.unreader.buf` with what was read ahead. `is_over`: whether the lane was ended.
    """

    def __init__(self, answer: Callable[[Any], Any], leave: Callable[..., None]) -> None:
        self._answer = answer
        self._leave = leave
        self._lock = threading.Lock()
        self._epoll = select.epoll()
        self._inside: dict[int, tuple[Any, float]] = {}
        self._busy_since: float | None = None
        self.is_over = False
        threading.Thread(target=self._run, name="lane", daemon=True).start()

    @property
    def is_busy(self) -> bool:
        """Whether an answer is being given."""
        return self._busy_since is not None

    @property
    def hangs(self) -> bool:
        """Whether one answer has taken so long that nobody should wait behind it."""
        since = self._busy_since
        return since is not None and time.monotonic() - since > MOST_SECONDS

    def enter(self, connection: Any) -> bool:
        """Let a connection in; False where the lane is over."""
        with self._lock:
            return not self.is_over and self._wait_for(connection)

    def end(self) -> None:
        """Let all go that wait; an answer that is being given is given. Does nothing where the lane is over already."""
        with self._lock:
            self.is_over = True
            left = [connection for connection, _ in self._inside.values()]
            self._inside.clear()
        for connection in left:
            self._out(connection, is_kept=True)

    def _run(self) -> None:
        while not self.is_over:
            for number, _ in self._epoll.poll(IDLE_SECONDS):
                self._serve(number)
            self._let_go_of_the_silent()

    def _serve(self, number: int) -> None:
        with self._lock:
            connection, _ = self._inside.pop(number, (None, 0.0))
        if connection is None:
            return
        is_kept = self._answered(connection) if asks_shortly(connection.sock) else None
        with self._lock:
            if is_kept and not self.is_over and not _has_read_ahead(connection) and self._wait_for(connection):
                return
        self._out(connection, is_kept=is_kept is not False)

    def _answered(self, connection: Any) -> bool:
        self._busy_since = time.monotonic()
        try:
            return self._answer(connection) is True
        except BaseException:
            # The edge of the thread: the others in the lane are answered, whatever this one has met.
            log.exception("a request in the lane was not answered")
            return False
        finally:
            self._busy_since = None

    def _wait_for(self, connection: Any) -> bool:
        """Wait for the connection's next request; under the lock. False where its socket is gone."""
        number = connection.sock.fileno()
        events = select.EPOLLIN | select.EPOLLONESHOT
        try:
            try:
                self._epoll.modify(number, events)
            except FileNotFoundError:
                self._epoll.register(number, events)
        except (OSError, ValueError):
            return False
        self._inside[number] = connection, time.monotonic()
        return True

    def _out(self, connection: Any, *, is_kept: bool) -> None:
        # A socket that is closed has left by itself, and its number may be another one's by now.
        if (number := connection.sock.fileno()) >= 0:
            with suppress(OSError):
                self._epoll.unregister(number)
        self._leave(connection, is_kept=is_kept)

    def _let_go_of_the_silent(self) -> None:
        now = time.monotonic()
        with self._lock:
            silent = [number for number, (_, since) in self._inside.items() if now - since > IDLE_SECONDS]
            left = [self._inside.pop(number)[0] for number in silent]
        for connection in left:
            self._out(connection, is_kept=True)


def asks_shortly(client: socket.socket) -> bool:
    """Whether one whole request waits there that is answered shortly, from a client that takes the answer.

    GET /healthz or GET /jobs/{id}, without a query, which could ask to wait, and without a body.
    """
    try:
        seen = client.recv(_PEEKED_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return False
    if not seen.endswith(b"\r\n\r\n") or not _SHORT.match(seen) or _MORE_TO_COME.search(seen):
        return False
    poll = select.poll()
    poll.register(client, select.POLLOUT)
    return bool(poll.poll(0))


def _has_read_ahead(connection: Any) -> bool:
    return bool(connection.parser.unreader.buf.getvalue())
