"""GET /jobs/{id}: what a client has is not sent again, and a client may wait for a change."""

import threading
import time

import pytest

from api.state.service import Service
from shared.events import Event, EventWriter
from shared.job import Ending
from shared.open_job import OpenJob
from tests.support.jobs import claim
from tests.support.keys import authorized
from tests.support.waiting import wait_for


def shown(client, job, query="", etag=None):
    return client.get(f"/jobs/{job.id}{query}", headers={"If-None-Match": etag} if etag else {})


class Asked:
    """A request in its own thread."""

    def __init__(self, app, job, query, etag=None):
        self.answer = None
        self.thread = threading.Thread(target=self._ask, args=(authorized(app), job, query, etag))
        self.thread.start()

    def _ask(self, client, *how):
        self.answer = shown(client, *how)

    def is_waiting(self, app):
        return Service.of(app).streams._value < 2

    def joined(self):
        self.thread.join(60)
        assert not self.thread.is_alive()
        return self.answer


def test_a_job_that_a_client_knows_is_not_sent_again_until_it_changes(client, job):
    first = shown(client, job)
    etag = first.headers["ETag"]
    again = shown(client, job, etag=etag)
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)
    claim(job)
    changed = shown(client, job, etag=etag)
    assert (changed.status_code, changed.json["status"]) == (200, "running")
    assert changed.headers["ETag"] != etag


def test_a_hint_says_when_to_ask_again_while_a_job_goes_on(client, volume, job):
    assert shown(client, job).headers["Retry-After"] == "5"
    claim(job)
    assert shown(client, job).headers["Retry-After"] == "2"
    job.settle(Ending(status="failed"), attempt=1)
    answer = shown(client, job)
    assert (answer.json["status"], "Retry-After" in answer.headers) == ("failed", False)


@pytest.mark.parametrize("knows_its_etag", [True, False])
@pytest.mark.parametrize("change", ["claim", "event", "cancel", "end", "delete"])
def test_a_client_that_waits_hears_of_the_next_change(app, client, volume, job, change, knows_its_etag):
    attempt = claim(job) if change != "claim" else None
    etag = shown(client, job).headers["ETag"] if knows_its_etag else None
    asked = Asked(app, job, "?wait=60", etag)
    wait_for(lambda: asked.is_waiting(app), 60)
    if change == "claim":
        claim(job)
    elif change == "event":
        shape = {"epoch": 1, "epochs": 4, "metrics": {}, "learning_rate": 0.1, "seconds": 0.5}
        with EventWriter(attempt.events_file) as writer:
            writer.write(
                [Event("epoch", "epoch 1", {**shape, "best": None, "early_stopping": None, "reduce_lr": None})]
            )
    elif change == "cancel":
        job.request_cancel()
    else:
        job.settle(Ending(status="failed"), attempt=1)
        if change == "delete":
            volume.remove_job(OpenJob(5, job.id))
    answer = asked.joined()
    if change == "delete":
        assert answer.status_code in {200, 404}
    else:
        assert answer.status_code == 200
        assert answer.json == shown(client, job).json


def test_a_client_that_waits_in_vain_is_told_the_same_after_its_time(client, job):
    etag = shown(client, job).headers["ETag"]
    began = time.monotonic()
    assert shown(client, job, "?wait=1", etag).status_code == 304
    assert shown(client, job, "?wait=1").status_code == 200
    assert time.monotonic() - began >= 2


def test_who_knows_an_older_state_or_asks_for_a_job_that_is_over_does_not_wait(client, volume, job):
    old = shown(client, job).headers["ETag"]
    claim(job)
    began = time.monotonic()
    assert shown(client, job, "?wait=60", old).json["status"] == "running"
    job.settle(Ending(status="failed"), attempt=1)
    over = shown(client, job, "?wait=60")
    assert shown(client, job, "?wait=60", over.headers["ETag"]).status_code == 304
    assert time.monotonic() - began < 30


def test_where_too_many_wait_the_answer_comes_at_once(app, client, job):
    streams = Service.of(app).streams
    assert streams.acquire()
    assert streams.acquire()
    began = time.monotonic()
    assert shown(client, job, "?wait=60").status_code == 200
    assert time.monotonic() - began < 30


def test_waiting_requests_of_a_key_count_with_its_streams(app, client, job):
    places = Service.of(app).streams_of_keys
    while places.take("key_environment"):
        pass
    began = time.monotonic()
    assert shown(client, job, "?wait=60").status_code == 200
    assert time.monotonic() - began < 30


def test_a_process_that_ends_lets_its_waiting_clients_go(app, job):
    asked = Asked(app, job, "?wait=60")
    wait_for(lambda: asked.is_waiting(app), 60)
    Service.of(app).is_stopping = lambda: True
    assert asked.joined().status_code == 200


def test_a_place_in_the_queue_that_changes_is_a_change(app, client, volume, new_job):
    first, second = new_job(), new_job(priority=6)
    asked = Asked(app, second, "?wait=60")
    wait_for(lambda: asked.is_waiting(app), 60)
    client.post(f"/jobs/{first.id}/cancel")
    assert asked.joined().json["queue_position"] == 1


@pytest.mark.parametrize("wait", ["-1", "61", "1.5", "x"])
def test_a_wait_that_is_no_time_is_refused(client, job, wait):
    assert shown(client, job, f"?wait={wait}").status_code == 422


def test_a_job_that_is_over_is_not_read_again(app, client, volume, job, monkeypatch):
    job.settle(Ending(status="failed"), attempt=None)
    first = shown(client, job)
    monkeypatch.setattr("api.jobs.show.job_document", lambda folder: pytest.fail("the job was read again"))
    assert shown(client, job).json == first.json
    volume.remove_job(OpenJob(5, job.id))
    assert shown(client, job).status_code == 404
