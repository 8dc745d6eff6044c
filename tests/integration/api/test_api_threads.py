"""A request holds a thread only while it is computed; here the API has two threads."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.keys import ADMIN_KEY
from tests.support.redis import RedisServer

SIGNED = {"Authorization": f"Bearer {ADMIN_KEY}"}
NOBODYS = "/jobs/job_01KBXW5T7N0000000000000000"


@pytest.fixture
def api(redis_server: RedisServer, volume: Volume, tmp_path: Path) -> Iterator[ApiProcess]:
    put_dataset(volume, learnable_frame())
    api = ApiProcess(volume, redis_server.url, tmp_path / "api.log", FITSTOP_API_THREADS="2")
    api.start()
    yield api
    api.stop()


@pytest.fixture
def connected(api: ApiProcess) -> Iterator[Callable[[], HTTPConnection]]:
    with ExitStack() as connections:

        def one() -> HTTPConnection:
            return connections.enter_context(closing(HTTPConnection("127.0.0.1", api.port, timeout=120)))

        yield one


def status(client: HTTPConnection, path: str) -> int:
    client.request("GET", path, headers=SIGNED)
    return status_of_answer(client)


def status_of_answer(client: HTTPConnection) -> int:
    response = client.getresponse()
    response.read()
    return response.status


def test_event_streams_and_silent_clients_hold_no_thread(
    volume: Volume, connected: Callable[[], HTTPConnection], api: ApiProcess
) -> None:
    job = put_job(volume, small_spec())
    streams, silent = [connected() for _ in range(6)], [connected() for _ in range(6)]
    for stream in streams:
        stream.request("GET", f"/jobs/{job.id}/events", headers=SIGNED)
        assert stream.getresponse().status == 200
    for client in silent:
        client.putrequest("POST", "/page/sign-in")
        client.putheader("Content-Length", "50")
        client.endheaders(b"{")
    for _ in range(20):
        assert status(connected(), f"/jobs/{job.id}") == 200
    assert status(connected(), NOBODYS) == 404
    assert status(connected(), "/healthz") == 200


def test_a_pipe_in_the_place_of_a_file_holds_no_thread(volume: Volume, connected: Callable[[], HTTPConnection]) -> None:
    job = put_job(volume, small_spec())
    unlucky, known = connected(), connected()
    # A pipe in the place of a file is refused at once; no thread waits for its writer.
    job.spec_file.unlink()
    os.mkfifo(job.spec_file)
    unlucky.request("GET", f"/jobs/{job.id}", headers=SIGNED)
    for _ in range(5):
        assert status(known, "/healthz") == 200
    assert status_of_answer(unlucky) == 500
    for client in (unlucky, known):
        assert status(client, "/healthz") == 200


def test_half_a_connection_may_end_before_the_other(api: ApiProcess) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=120) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 OK")


def test_a_refusal_reaches_a_client_that_sends_everything_before_it_listens(
    connected: Callable[[], HTTPConnection],
) -> None:
    client = connected()
    client.request("PUT", "/datasets/large", b"x" * 20_000_000)
    response = client.getresponse()
    assert (response.status, response.headers["Connection"]) == (401, "close")
    assert json.loads(response.read())["code"] == "no_key"


def test_without_a_key_a_body_announces_its_length(api: ApiProcess, connected: Callable[[], HTTPConnection]) -> None:
    client = connected()
    ours = f"http://127.0.0.1:{api.port}"
    json_chunks = {"Content-Type": "application/json", "Transfer-Encoding": "chunked", "Origin": ours}
    client.request("POST", "/page/sign-in", iter([b"{}"]), json_chunks, encode_chunked=True)
    assert status_of_answer(client) == 411


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nX-"])
def test_a_client_that_sends_no_whole_head_is_cut_off(api: ApiProcess, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=120) as client:
        began = time.monotonic()
        client.sendall(sent)
        assert client.recv(1) == b""
        assert time.monotonic() - began > 4


def test_a_target_may_name_the_whole_address(api: ApiProcess) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=120) as client:
        client.sendall(b"GET http://x/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 OK")
