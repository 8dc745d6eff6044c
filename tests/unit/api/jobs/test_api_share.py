"""Links that show one job to people without a key."""

import pytest

from api.jobs.share import MOST_OF_A_JOB
from api.state.service import Service
from shared.times import time_in
from tests.support.finished_job import finished_job
from tests.support.keys import authorized


@pytest.fixture
def job(app, grades):
    return finished_job(Service.of(app).volume)


def make_link(client, job, **asked):
    answer = client.post(f"/jobs/{job.id}/shares", json=asked)
    assert answer.status_code == 201, answer.text
    return answer.json


def status_of(app, token, job):
    return authorized(app, token).get(f"/jobs/{job.id}").status_code


def test_a_link_shows_the_job_until_it_is_revoked(app, client, job):
    link = make_link(client, job, expires_in_days=3)
    assert link["url"] == f"/page/shared/{job.id}#{link['token']}"
    assert status_of(app, link["token"], job) == 200
    [listed] = client.get(f"/jobs/{job.id}/shares").json["data"]
    assert "token" not in listed
    assert listed["expires_at"] == link["expires_at"]
    path = f"/jobs/{job.id}/shares/{link['id']}"
    assert client.delete(path).status_code == 204
    assert status_of(app, link["token"], job) == 401
    assert client.delete(path).status_code == 404
    assert client.get(f"/jobs/{job.id}/shares").json["data"] == []


def test_the_token_is_in_no_file_and_in_no_log(app, client, job, caplog):
    token = make_link(client, job)["token"]
    authorized(app, token).get(f"/jobs/{job.id}")
    folder = Service.of(app).settings.state_folder
    assert not [file for file in folder.rglob("*") if file.is_file() and token[20:].encode() in file.read_bytes()]
    assert token[20:] not in caplog.text


def test_a_link_ends_with_its_time_its_key_and_its_job(app, client, job):
    service = Service.of(app)
    known, key = service.keys.create("lent", "write")
    link = make_link(authorized(app, key), job)
    assert status_of(app, link["token"], job) == 200
    service.keys.revoke(known.id)
    assert status_of(app, link["token"], job) == 401
    admin = service.keys.of_id("key_environment")
    _, over = service.shares.create(job.id, "default", admin, time_in(-1))
    assert status_of(app, over, job) == 401
    left = make_link(client, job)["token"]
    assert len(client.get(f"/jobs/{job.id}/shares").json["data"]) == 1, "those that are over are not listed"
    assert client.delete(f"/jobs/{job.id}").status_code == 204
    assert status_of(app, left, job) == 401
    assert not service.shares.place(job.id).exists()


def test_a_link_holds_no_stream_and_no_thread(app, client, job):
    shown = authorized(app, make_link(client, job)["token"])
    answer = shown.get(f"/jobs/{job.id}/events", headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.json["code"]) == (429, "too_many_streams")


def test_a_forged_link_opens_nothing(app, client, job):
    token = make_link(client, job)["token"]
    for forged in (token[:-1] + ("A" if token[-1] != "A" else "B"), token[:16], "fss_" + "a" * 12 + "_" + "b" * 43, ""):
        assert status_of(app, forged, job) == 401
    assert authorized(app, token).get("/jobs/..%2f..%2fkeys").status_code == 401


def test_a_job_has_a_most_of_links_and_bad_times_are_named(client, job):
    for days in (0, 3651, "7", 1.5):
        assert client.post(f"/jobs/{job.id}/shares", json={"expires_in_days": days}).status_code == 422
    for _ in range(MOST_OF_A_JOB):
        make_link(client, job)
    assert client.post(f"/jobs/{job.id}/shares", json={}).status_code == 409
