"""Two hundred event streams and fifty slow clients leave the API alive (`make many-streams` measures how much)."""

import statistics

from proofs.many_streams import crowd, milliseconds_of_healthz, speaking_job, tell
from tests.support.api_process import ApiProcess


def test_beside_two_hundred_streams_and_fifty_slow_clients_others_are_served(redis_server, volume, tmp_path):
    api = ApiProcess(volume, redis_server.url, tmp_path / "api.log", FITSTOP_STREAMS_PER_KEY="256")
    api.start()
    try:
        job_id, attempt = speaking_job(volume)
        with crowd(api, job_id, 200, 50) as found:
            tell(attempt, "hello")
            assert found.streaming == 200
            # Ten times what is promised, because other tests may use the machine's cores at the same time.
            assert statistics.median(milliseconds_of_healthz(api, 20)) < 1000
            assert api.ask("GET", f"/jobs/{job_id}").status == 200
    finally:
        api.stop()
