"""An answer kept from an earlier request is never sent if the volume has changed."""

import time

import pytest

from api.http.every_request import _RequestIds
from api.jobs import show
from api.state.dataset_cache import DatasetCache
from api.state.service import Service
from shared.job import EnginePlan
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec


@pytest.fixture
def reads(monkeypatch):
    """The id of each job whose report was made, once for each time."""
    made = []
    real = show.job_document

    def make(folder):
        made.append(folder.id)
        return real(folder)

    monkeypatch.setattr(show, "job_document", make)
    return made


def test_asked_twice_at_once_a_job_is_read_once(client, job, reads):
    first = client.get(f"/jobs/{job.id}")
    assert client.get(f"/jobs/{job.id}").data == first.data
    assert reads == [job.id]


def test_a_view_is_made_again_after_a_moment_whatever_the_files_say(client, job, reads):
    client.get(f"/jobs/{job.id}")
    fresh = Service.of(client.application).views.fresh._cache
    fresh.expire(time.monotonic() + 0.5)
    client.get(f"/jobs/{job.id}")
    assert reads == [job.id, job.id]


def test_each_change_is_seen_at_once(client, job):
    def shown():
        return client.get(f"/jobs/{job.id}").json

    assert shown()["status"] == "queued"
    claim(job)
    assert shown()["status"] == "running"
    assert shown()["engine"] is None
    job.keep_to(
        EnginePlan(
            engine="fused", xla=False, threads=1, validation_batch=9, steps_per_epoch=4, reason="it is the faster one"
        )
    )
    assert shown()["engine"]["engine"] == "fused"
    assert client.post(f"/jobs/{job.id}/cancel").json["cancel_requested_at"]
    assert shown()["cancel_requested_at"]


def test_a_post_is_answered_as_the_job_is_read_afterwards(client, grades):
    posted = client.post("/jobs", json=small_spec())
    assert client.get(f"/jobs/{posted.json['id']}").json == posted.json


def test_a_dataset_that_was_replaced_under_its_id_is_read_anew(volume, client, grades):
    cache = DatasetCache(volume)
    assert cache.find(grades.id)[0] == grades
    assert cache.find(grades.id) is cache.find(grades.id), "it is read once"
    assert volume.remove_dataset(grades.id)
    assert cache.find(grades.id) is None
    other = put_dataset(volume, learnable_frame(rows=60))
    assert other.id == grades.id
    assert cache.find(grades.id)[0] == other
    assert cache.find("../" + grades.id) is None


def test_no_two_requests_are_named_alike_not_even_in_two_processes():
    ids = _RequestIds()
    before = {ids.new() for _ in range(1000)}
    ids.renew()
    assert len(before | {ids.new() for _ in range(1000)}) == 2000


def test_a_long_queue_knows_the_place_of_a_new_job_before_it_is_looked_at_again(app, volume, grades):
    places = Service.of(app).places
    first = put_job(volume, small_spec())
    assert places.of(marker(first)) == {first.id: 1}
    places._look_again = float("inf")
    second, urgent = put_job(volume, small_spec()), put_job(volume, small_spec(priority=0))
    assert places.of(marker(second)) == {second.id: 2}
    assert places.of(marker(urgent), marker(second)) == {urgent.id: 1, second.id: 3}


def marker(job):
    from shared.open_job import OpenJob

    record = job.record()
    return OpenJob(record.spec.priority, job.id)
