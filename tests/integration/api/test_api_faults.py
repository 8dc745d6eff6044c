"""Redis is unavailable or hangs, the volume is full or read-only: the answers, how soon they come, and what is left."""

import shutil
import signal
import subprocess
import sys
import time

import pytest

from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.jobs import learnable_frame, put_dataset, small_spec
from tests.support.redis import RedisServer, free_port, redis_program
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess

CSV = b"a,b\n" + b"1,2\n3,4\n" * 500


@pytest.fixture
def own_redis(tmp_path):
    """A Redis that a test may end."""
    program = redis_program()
    assert program
    server = RedisServer(program, tmp_path, free_port())
    server.start()
    yield server
    server.kill()


@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if not sys.platform.startswith("linux") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no filesystem can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=False)


# How long a Redis client waits for an answer by default (shared.queue.make_celery).
ANSWER_SECONDS = 3


def serve(volume, redis_url, folder, **settings):
    # A disk of 4 MB has no room for a reserve.
    api = ApiProcess(volume, redis_url, folder / "api.log", **{"FITSTOP_VOLUME_RESERVE_BYTES": "0", **settings})
    api.start()
    return api


def posted(api):
    """Return the answer to a post and its seconds; the best of three, because other tests may use the cores."""
    found = []
    for _ in range(3):
        began = time.monotonic()
        answer = api.ask("POST", "/jobs", small_spec())
        found.append((time.monotonic() - began, answer))
    seconds, answer = min(found, key=lambda one: one[0])
    return answer, seconds


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_while_redis_is_away_a_job_waits_for_none_of_its_answers(own_redis, volume, tmp_path, fault):
    put_dataset(volume, learnable_frame())
    api = serve(volume, own_redis.url, tmp_path)
    try:
        assert api.ask("POST", "/jobs", small_spec()).status == 202
        own_redis._process.send_signal(signal.SIGKILL if fault == "killed" else signal.SIGSTOP)
        answer, seconds = posted(api)
        assert answer.status == 202
        assert seconds < ANSWER_SECONDS
        assert api.ask("GET", answer.headers["Location"]).json["status"] == "queued"
    finally:
        own_redis._process.send_signal(signal.SIGCONT)
        api.stop()


def test_a_job_that_was_posted_without_redis_runs_when_it_is_back(own_redis, volume, tmp_path):
    put_dataset(volume, learnable_frame())
    worker = WorkerProcess(volume, own_redis.url, tmp_path / "worker.log")
    worker.start()
    own_redis.kill()
    api = serve(volume, own_redis.url, tmp_path)
    try:
        job_id = api.ask("POST", "/jobs", small_spec()).json["id"]
        assert api.ask("GET", f"/jobs/{job_id}").json["status"] == "queued"
        own_redis.start()
        wait_for(lambda: api.ask("GET", f"/jobs/{job_id}").json["status"] == "succeeded", 90, every=0.2)
    finally:
        api.stop()
        worker.stop()


def below(volume):
    """Return the paths of all files on the volume."""
    return sorted(str(path.relative_to(volume.root)) for path in volume.root.rglob("*") if path.is_file())


@pytest.fixture
def on_small_disk(small_disk, tmp_path):
    volume = Volume(small_disk / "volume")
    put_dataset(volume, learnable_frame(60))
    api = serve(volume, "redis://127.0.0.1:1/0", tmp_path)
    yield api
    api.stop()


def refuses_every_write(api, status, code):
    before = below(api.volume)
    headers = {"Idempotency-Key": "one"}
    writes = [("POST", "/jobs", small_spec(), {}), ("POST", "/jobs", small_spec(), headers)]
    writes += [("PUT", "/datasets/new", CSV, {}), ("POST", "/keys", {"name": "x"}, {})]
    for method, path, body, sent in writes:
        answer = api.ask(method, path, body, **sent)
        assert (answer.status, answer.json["code"]) == (status, code), (method, path, answer.body)
    assert below(api.volume) == before, "nothing is half-made"


def answers_every_look(api, job_id):
    for path in ("/jobs", f"/jobs/{job_id}", "/datasets", "/datasets/grades", f"/jobs/{job_id}/events", "/keys"):
        assert api.ask("GET", path).status == 200, path
    assert [job["id"] for job in api.ask("GET", "/jobs").json["data"]] == [job_id]
    assert api.ask("GET", "/readyz").json["checks"]["volume"]["ok"] is False


def goes_on(api, job_id):
    answer = api.ask("POST", "/jobs", small_spec(), **{"Idempotency-Key": "one"})
    assert answer.status == 202
    assert [job["id"] for job in api.ask("GET", "/jobs").json["data"]] == [answer.json["id"], job_id]
    assert sorted(marker.job_id for marker in api.volume.open_jobs()) == sorted([answer.json["id"], job_id])
    assert api.ask("PUT", "/datasets/new", CSV).status == 201


def test_on_a_full_volume_writes_are_507_looks_are_answered_and_nothing_is_half_made(on_small_disk, small_disk):
    api = on_small_disk
    job_id = api.ask("POST", "/jobs", small_spec()).json["id"]
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while shutil.disk_usage(small_disk).free:
            file.write(b"x" * min(65_536, shutil.disk_usage(small_disk).free))
    refuses_every_write(api, 507, "volume_full")
    answers_every_look(api, job_id)
    ballast.unlink()
    goes_on(api, job_id)


def test_on_a_read_only_volume_writes_are_503_looks_are_answered_and_nothing_is_half_made(on_small_disk, small_disk):
    api = on_small_disk
    job_id = api.ask("POST", "/jobs", small_spec()).json["id"]
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    refuses_every_write(api, 503, "volume_unavailable")
    answers_every_look(api, job_id)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    goes_on(api, job_id)
