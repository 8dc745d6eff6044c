"""Who asks for a job again and again needs no thread of his own for it."""

from contextlib import ExitStack
from http.client import HTTPConnection

from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.keys import ADMIN_KEY
from tests.support.redis import RedisServer
from tests.support.waiting import wait_for

SIGNED = {"Authorization": f"Bearer {ADMIN_KEY}"}


def test_a_client_that_is_known_is_answered_while_others_have_every_thread(
    redis_server: RedisServer, volume: Volume, tmp_path
) -> None:
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec())
    api = ApiProcess(volume, redis_server.url, tmp_path / "api.log", FITSTOP_API_THREADS="2")
    api.start()
    try:
        with ExitStack() as connections:

            def connected() -> HTTPConnection:
                connection = HTTPConnection("127.0.0.1", api.port, timeout=60)
                connections.callback(connection.close)
                return connection

            known, streams = connected(), [connected(), connected()]

            def answer(path: str) -> int:
                known.request("GET", path, headers=SIGNED)
                response = known.getresponse()
                response.read()
                return response.status

            assert answer(f"/jobs/{job.id}") == 200
            for stream in streams:
                stream.request("GET", f"/jobs/{job.id}/events", headers=SIGNED | {"Accept": "text/event-stream"})
                assert stream.getresponse().status == 200
            for _ in range(20):
                assert answer(f"/jobs/{job.id}") == 200
            assert answer("/jobs/job_01KBXW5T7N0000000000000000") == 404
            assert answer("/healthz") == 200
    finally:
        api.stop()
