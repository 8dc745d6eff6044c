"""What gunicorn and asyncio do not do by themselves."""

import asyncio
import socket
import struct
import sys

import pytest

from api.serving.server import keep_long_queue

# Of `struct tcp_info`: of a listening socket this is the length of its queue (linux/net/ipv4/tcp.c, tcp_get_info).
_QUEUE_AT = 28


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the length of the queue")
def test_the_queue_of_new_connections_is_as_long_as_gunicorn_was_told():
    loop = asyncio.new_event_loop()
    keep_long_queue(loop, 1500)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = loop.run_until_complete(loop.create_server(asyncio.Protocol, sock=sock))
        found = struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), _QUEUE_AT)[0]
        server.close()
        loop.run_until_complete(server.wait_closed())
    loop.close()
    assert found == 1500
