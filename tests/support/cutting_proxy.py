"""A TCP proxy that cuts its connections after a number of bytes to the server, or stops forwarding."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class CuttingProxy:
    """Forwards to 127.0.0.1:`target`. `passed` counts the bytes to the server.

    `cuts`: numbers of bytes after which all connections are cut, once for each. `holds`: at the first of them, stop
    forwarding to the server for ever instead.
    """

    def __init__(self, target: int, cuts: tuple[int, ...] = (), *, holds: bool = False) -> None:
        self.passed = 0
        self._target = target
        self._cuts = list(cuts)
        self._holds = holds
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Close the proxy and all connections."""
        self._listener.close()
        self._cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                for source, sink, counts in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._forward, args=(source, sink, counts), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(64 * 1024):
                if counts and self._cuts and self.passed >= self._cuts[0]:
                    if self._holds:
                        return
                    self._cuts.pop(0)
                    self._cut()
                    return
                sink.sendall(piece)
                self.passed += len(piece) if counts else 0
            sink.shutdown(socket.SHUT_WR)

    def _cut(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()


@contextmanager
def cutting_proxy(target: int, *cuts: int, holds: bool = False) -> Iterator[CuttingProxy]:
    """A proxy until the end of the `with` block."""
    proxy = CuttingProxy(target, cuts, holds=holds)
    try:
        yield proxy
    finally:
        proxy.close()
