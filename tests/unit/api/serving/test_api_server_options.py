"""What gunicorn and asyncio do not do by themselves."""

import asyncio
import socket
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.serving.server import keep_long_queue

# Of `struct tcp_info`: of a listening socket this is the length of its queue (linux/net/ipv4/tcp.c, tcp_get_info).
_QUEUE_AT = 28


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the length of the queue")
def test_the_queue_of_new_connections_is_as_long_as_gunicorn_was_told():
    # On a thread: where a browser's test ran before in this process, this thread has Playwright's loop running.
    with ThreadPoolExecutor() as pool:
        found = pool.submit(_length_of_a_queue_of, 1500).result()
    assert found == 1500


def _length_of_a_queue_of(connections: int) -> int:
    async def _listen() -> int:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            async with await asyncio.get_running_loop().create_server(asyncio.Protocol, sock=sock):
                return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), _QUEUE_AT)[0]

    with asyncio.Runner() as runner:
        keep_long_queue(runner.get_loop(), connections)
        return runner.run(_listen())
