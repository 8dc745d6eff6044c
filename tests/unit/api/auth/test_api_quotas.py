"""The quotas of one key while Redis is unavailable: each process counts for itself, and no request fails."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from api import create_app
from api.state.service import Service
from shared.job import Ending
from tests.support.jobs import small_spec
from tests.support.keys import authorized

CSV = b"a,b\n" + b"1,2\n3,4\n" * 20


@pytest.fixture
def limited(settings, volume):
    """Make an app with other limits."""

    def make(**limits):
        return create_app(settings.model_copy(update=limits))

    return make


def refused(answer, code):
    assert (answer.status_code, answer.mimetype, answer.json["code"]) == (429, "application/problem+json", code)
    assert int(answer.headers["Retry-After"]) >= 1
    return answer


def test_every_answer_tells_what_is_left_and_above_it_is_429(limited):
    client = authorized(limited(requests_per_minute=3))
    for left in (2, 1, 0):
        answer = client.get("/jobs")
        assert answer.status_code == 200
        assert answer.headers["RateLimit-Policy"] == '"requests";q=3;w=60'
        assert re.fullmatch(rf'"requests";r={left};t=(60|5\d)', answer.headers["RateLimit"])
    answer = refused(client.get("/jobs"), "too_many_requests")
    assert answer.headers["RateLimit"].startswith('"requests";r=0;')
    assert int(answer.headers["Retry-After"]) <= 60
    assert client.get("/healthz").status_code == 200
    assert "RateLimit" not in client.get("/healthz").headers


def test_a_key_has_only_so_many_costly_reads_at_once(limited, job):
    app = limited(costly_reads_per_key=1)
    client, held = authorized(app), Service.of(app)
    other = authorized(app, held.keys.create("other", "read")[1])
    assert held.costly_of_keys.take("key_environment")
    reads = [("GET", "/usage"), ("GET", "/replay/patience"), ("GET", f"/jobs/{job.id}/forecast")]
    for method, path in reads:
        refused(client.open(path, method=method), "too_many_costly_reads")
        assert other.open(path, method=method).status_code == 200
    assert client.get(f"/jobs/{job.id}").status_code == 200
    held.costly_of_keys.release("key_environment")
    for method, path in [*reads, *reads]:
        assert client.open(path, method=method).status_code == 200


def test_each_key_has_limits_of_its_own(limited):
    app = limited(requests_per_minute=1)
    other = authorized(app, Service.of(app).keys.create("other", "read")[1])
    client = authorized(app)
    assert client.get("/jobs").status_code == 200
    refused(client.get("/jobs"), "too_many_requests")
    assert other.get("/jobs").status_code == 200


def test_a_key_has_only_so_many_jobs_without_a_result(limited, volume, grades):
    client = authorized(limited(max_unfinished_jobs=2))
    first, second = (client.post("/jobs", json=small_spec()).json["id"] for _ in range(2))
    refused(client.post("/jobs", json=small_spec()), "too_many_jobs")
    assert set(volume.job_ids()) == {first, second}
    assert client.post(f"/jobs/{first}/cancel").status_code == 200
    assert client.post("/jobs", json=small_spec()).status_code == 202
    refused(client.post("/jobs", json=small_spec()), "too_many_jobs")
    volume.job(second).settle(Ending(status="succeeded"), attempt=None)
    refused(client.post("/jobs", json=small_spec()), "too_many_jobs")
    for marker in volume.open_jobs():
        if marker.job_id == second:
            volume.close_job(marker)
    assert client.post("/jobs", json=small_spec()).status_code == 202


def test_a_post_that_is_repeated_counts_once_and_a_refused_one_not(limited, grades):
    client = authorized(limited(max_unfinished_jobs=1))
    assert client.post("/jobs", json=small_spec(hyperparameters={"epochs": 0})).status_code == 422
    for _ in range(3):
        assert client.post("/jobs", json=small_spec(), headers={"Idempotency-Key": "one"}).status_code == 202
    refused(client.post("/jobs", json=small_spec(), headers={"Idempotency-Key": "two"}), "too_many_jobs")


def test_of_many_posts_at_once_few_pass_the_limit_and_none_after_them(limited, volume, grades):
    app = limited(max_unfinished_jobs=5)
    with ThreadPoolExecutor(4) as pool:
        clients = [authorized(app) for _ in range(24)]
        statuses = list(pool.map(lambda client: client.post("/jobs", json=small_spec()).status_code, clients))
    assert sorted(set(statuses)) == [202, 429]
    assert 5 <= len(list(volume.open_jobs())) <= 5 + 4
    refused(authorized(app).post("/jobs", json=small_spec()), "too_many_jobs")


def test_a_key_has_only_so_many_uploads_at_once(limited):
    app = limited(max_uploads=1)
    client = authorized(app)
    counts = Service.of(app).counts
    assert counts.ask(lambda kind: kind.hold("uploads:key_environment", "another", 1, 60))
    refused(client.put("/datasets/a", data=CSV), "too_many_uploads")
    counts.ask(lambda kind: kind.release("uploads:key_environment", "another"))
    assert client.put("/datasets/a", data=CSV).status_code == 201
    assert client.put("/datasets/b", data=b"").status_code == 422
    assert client.put("/datasets/b", data=CSV).status_code == 201


def test_a_key_uploads_only_so_many_bytes_in_a_day(limited, volume):
    client = authorized(limited(upload_bytes_per_day=2 * len(CSV) + 10))
    answer = client.put("/datasets/a", data=CSV)
    assert f'"bytes";q={2 * len(CSV) + 10};qu="content-bytes";w=86400' in answer.headers["RateLimit-Policy"]
    assert f'"bytes";r={len(CSV) + 10};t=' in answer.headers["RateLimit"]
    assert client.put("/datasets/b", data=b"x" * len(CSV)).status_code == 422, "what was refused was sent all the same"
    answer = refused(client.put("/datasets/c", data=CSV), "too_many_bytes")
    assert int(answer.headers["Retry-After"]) > 86_000
    assert volume.dataset_ids() == ["a"]


def test_keys_tell_when_they_were_last_used(app, client):
    made = client.post("/keys", json={"name": "ci", "scope": "read"}).json
    told = {one["id"]: one["last_used_at"] for one in client.get("/keys").json["data"]}
    assert told[made["id"]] is None
    assert told["key_environment"] is not None
    authorized(app, made["key"]).get("/jobs")
    told = {one["id"]: one["last_used_at"] for one in client.get("/keys").json["data"]}
    assert told[made["id"]] >= made["created_at"]
