"""Who asks for a job again and again needs no thread of his own for it."""

import os
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
            return connections.enter_context(closing(HTTPConnection("127.0.0.1", api.port, timeout=60)))

        yield one


def status(client: HTTPConnection, path: str) -> int:
    client.request("GET", path, headers=SIGNED)
    return status_of_answer(client)


def status_of_answer(client: HTTPConnection) -> int:
    response = client.getresponse()
    response.read()
    return response.status


def test_a_client_that_is_known_is_answered_while_others_have_every_thread(
    volume: Volume, connected: Callable[[], HTTPConnection]
) -> None:
    job = put_job(volume, small_spec())
    known, streams = connected(), [connected(), connected()]
    assert status(known, f"/jobs/{job.id}") == 200
    for stream in streams:
        stream.request("GET", f"/jobs/{job.id}/events", headers=SIGNED)
        assert stream.getresponse().status == 200
    for _ in range(20):
        assert status(known, f"/jobs/{job.id}") == 200
    assert status(known, NOBODYS) == 404
    assert status(known, "/healthz") == 200


def test_behind_a_job_whose_files_hang_others_are_answered_and_the_lane_opens_again(
    volume: Volume, connected: Callable[[], HTTPConnection]
) -> None:
    job = put_job(volume, small_spec())
    unlucky, known = connected(), connected()
    assert status(unlucky, "/healthz") == status(known, "/healthz") == 200
    # Whoever opens a pipe to read waits until somebody writes.
    job.spec_file.unlink()
    os.mkfifo(job.spec_file)
    unlucky.request("GET", f"/jobs/{job.id}", headers=SIGNED)
    for _ in range(5):
        assert status(known, "/healthz") == 200
    job.spec_file.write_bytes(b"")
    assert status_of_answer(unlucky) == 500
    for client in (unlucky, known):
        assert status(client, "/healthz") == 200
