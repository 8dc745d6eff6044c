"""Clients that send their next request at once, or at a fixed pace. All run in one thread, to distort times little.

With a thread for each client, the clients would need as much processor time as the answers, and the measured times
would include the waits of the threads for each other.
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
    """One kept connection, the part of the answer that has arrived, and the time of the request."""

    connection: socket.socket
    received: bytes = b""
    asked_at: float = 0.0

    def ask(self, request: bytes, due_at: float | None = None) -> None:
        """Send a request that was due at `due_at`, by default now."""
        self.received, self.asked_at = b"", time.monotonic() if due_at is None else due_at
        self.connection.sendall(request)

    def read(self) -> bool:
        """Read; True if the answer is complete. Raises ConnectionError if the connection ends before that."""
        piece = self.connection.recv(1 << 16)
        if not piece:
            raise ConnectionError(f"the server closed a kept connection behind {self.received[:300]!r}")
        self.received += piece
        head, end, body = self.received.partition(b"\r\n\r\n")
        return bool(end) and len(body) >= _length(head)


class Load:
    """Number of `clients` that repeat one request for some seconds: the rate, and the times of the answers.

    A time is from the sending of the request to the last byte received. With `every_seconds`, each client sends at that
    pace, and its times begin when the request was due, so that a late answer does not hide the delay of the next one.
    Raises RuntimeError if the status is not 2xx, ConnectionError if the server does not keep the connection.
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
    """The length of the body. Raises StopIteration if the server does not send it."""
    lines = head.lower().split(b"\r\n")
    return int(next(line for line in lines if line.startswith(b"content-length:")).partition(b":")[2])
