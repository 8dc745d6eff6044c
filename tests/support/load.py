"""Clients that ask again at once, or at a pace of their own, all in one thread: little of what they measure is theirs.

A thread for each client costs the machine as much as the answers do, and its waiting for the others is measured too.
"""

import heapq
import selectors
import socket
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass
class _Client:
    """One connection that is kept: what has come of the answer, and when it was asked for."""

    connection: socket.socket
    received: bytes = b""
    asked_at: float = 0.0

    def ask(self, request: bytes, due_at: float | None = None) -> None:
        """Send a request that was due at that moment, now where nothing is said."""
        self.received, self.asked_at = b"", time.monotonic() if due_at is None else due_at
        self.connection.sendall(request)

    def read(self) -> bool:
        """Whether the whole answer is there. Raises ConnectionError where the connection ends before."""
        piece = self.connection.recv(1 << 16)
        if not piece:
            raise ConnectionError(f"the server closed a kept connection behind {self.received[:300]!r}")
        self.received += piece
        head, end, body = self.received.partition(b"\r\n\r\n")
        return bool(end) and len(body) >= _length(head)


class Load:
    """`clients` that send one request over and over for some seconds: the rate, and the times of the answers.

    Times go from the last byte sent to the last byte received; with `every_seconds` each client asks at that pace, and
    its times begin when it was due, so that what is late delays no measurement. Raises RuntimeError for an answer from
    300 on, ConnectionError for a server that keeps no connection.
    """

    def __init__(
        self,
        port: int,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        seconds: float = 4.0,
        clients: int = 16,
        every_seconds: float = 0.0,
    ):
        told = {"Host": f"127.0.0.1:{port}", "Content-Length": str(len(body)), **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
        self._request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        self._taken: list[float] = []
        self._every_seconds = every_seconds
        self._resting: list[tuple[float, int, _Client]] = []
        began = time.monotonic()
        self._until = began + seconds
        with selectors.DefaultSelector() as waiting:
            for number in range(clients):
                client = _Client(socket.create_connection(("127.0.0.1", port), timeout=60))
                waiting.register(client.connection, selectors.EVENT_READ, client)
                self._rest(client, began + number * every_seconds / clients)
            self._ask_those_due(waiting)
            while waiting.get_map():
                self._read(waiting)
                self._ask_those_due(waiting)
        self.per_second = len(self._taken) / (time.monotonic() - began)
        self.p50 = statistics.median(self._taken)
        self.p99 = statistics.quantiles(self._taken, n=100)[98]

    def _rest(self, client: _Client, due_at: float) -> None:
        heapq.heappush(self._resting, (due_at, client.connection.fileno(), client))

    def _ask_those_due(self, waiting: selectors.BaseSelector) -> None:
        now = time.monotonic()
        while self._resting and self._resting[0][0] <= now:
            due_at, _, client = heapq.heappop(self._resting)
            if now < self._until:
                client.ask(self._request, due_at if self._every_seconds else None)
            else:
                waiting.unregister(client.connection)
                client.connection.close()

    def _read(self, waiting: selectors.BaseSelector) -> None:
        until_due = max(0.0, self._resting[0][0] - time.monotonic()) if self._resting else None
        for key, _ in waiting.select(until_due):
            client: _Client = key.data
            if not client.read():
                continue
            now = time.monotonic()
            self._taken.append(now - client.asked_at)
            if not client.received.startswith(b"HTTP/1.1 2"):
                raise RuntimeError(f"{self._request[:60]!r} was answered {client.received[:300]!r}")
            self._rest(client, client.asked_at + self._every_seconds if self._every_seconds else now)


def _length(head: bytes) -> int:
    """How long the body is. Raises ValueError for a server that does not say."""
    lines = head.lower().split(b"\r\n")
    return int(next(line for line in lines if line.startswith(b"content-length:")).partition(b":")[2])
