"""One Idempotency-Key over a real connection: a hundred posts at once, with the API killed among them."""

import http.client
import os
import random
import signal
from concurrent.futures import ThreadPoolExecutor

from tests.support.api_process import ApiProcess

CSV = b"size,label\n" + b"".join(b"%d,%d\n" % (n, n % 2) for n in range(60))
SPEC = {"dataset": {"id": "small", "target": "label"}}


def posted(api, key):
    """Post the job and return its id; None if the API died before it answered."""
    try:
        answer = api.ask("POST", "/jobs", SPEC, **{"Idempotency-Key": key})
    except (OSError, http.client.HTTPException):
        return None
    assert answer.status == 202, answer.body
    return answer.json["id"]


def test_a_hundred_posts_at_once_are_one_job(api):
    api.ask("PUT", "/datasets/small", CSV)
    with ThreadPoolExecutor(50) as pool:
        heard = set(pool.map(lambda _: posted(api, "hundred"), range(100)))
    assert len(heard) == 1
    assert None not in heard


def test_a_hundred_posts_are_one_job_when_the_api_is_killed_among_them(redis_server, volume, tmp_path):
    chance = random.Random(7)
    for turn in range(3):
        api = ApiProcess(volume, redis_server.url, tmp_path / "api.log")
        api.start()
        api.ask("PUT", "/datasets/small", CSV)
        deadly = chance.randrange(1, 40)

        def post(number, api=api, turn=turn, deadly=deadly):
            heard = posted(api, f"turn-{turn}")
            if number == deadly:
                for pid in (api.process.pid, *api.workers()):
                    os.kill(pid, signal.SIGKILL)
            return heard

        with ThreadPoolExecutor(20) as pool:
            heard = set(pool.map(post, range(100)))
        api.process.wait()
        assert None in heard, "it was killed before it had answered all"
        again = ApiProcess(volume, redis_server.url, tmp_path / "api.log")
        again.start()
        try:
            heard |= {posted(again, f"turn-{turn}") for _ in range(3)}
        finally:
            again.stop()
        assert len(heard - {None}) == 1
        assert len(volume.job_ids()) == turn + 1
        assert len(list(volume.open_jobs())) == turn + 1
