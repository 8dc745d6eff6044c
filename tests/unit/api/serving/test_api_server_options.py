"""Options that gunicorn and asyncio do not set by themselves."""

import asyncio
import socket
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from api.serving.server import gunicorn_options, keep_long_queue
from shared.settings import Settings

# Offset in `struct tcp_info`: for a listening socket, the length of its queue (linux/net/ipv4/tcp.c, tcp_get_info).
_QUEUE_AT = 28


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the length of the queue")
def test_the_queue_of_new_connections_is_as_long_as_gunicorn_was_told():
    # In a thread: after a browser test in this process, the main thread has Playwright's loop running.
    with ThreadPoolExecutor() as pool:
        found = pool.submit(_length_of_a_queue_of, 1500).result()
    assert found == 1500


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands options of a listening socket on")
def test_a_client_that_accepts_nothing_for_15_seconds_is_cut_off_and_little_is_written_ahead_of_a_slow_one():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        gunicorn_options(Settings())["when_ready"](SimpleNamespace(LISTENERS=[SimpleNamespace(sock=listening)]))
        with socket.create_connection(listening.getsockname()):
            served, _ = listening.accept()
            with served:
                assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
                assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 128 * 1024


def _length_of_a_queue_of(connections: int) -> int:
    async def _listen() -> int:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            async with await asyncio.get_running_loop().create_server(asyncio.Protocol, sock=sock):
                return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), _QUEUE_AT)[0]

    with asyncio.Runner() as runner:
        keep_long_queue(runner.get_loop(), connections)
        return runner.run(_listen())
