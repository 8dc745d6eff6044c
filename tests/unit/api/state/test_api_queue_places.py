"""A job's queue position, GET /queue and what workers take next follow the same order."""

import pytest

from api.state.queue_order import QueuePlaces, queued_jobs
from shared.ids import new_job_id
from shared.open_job import OpenJob
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset
from tests.unit.shared.records import finished, record
from worker.supervisor.claim import Owner, claim_next

WEIGHTS = {"vision": 2}


def post(volume, project, priority):
    return volume.store_job(record(priority).model_copy(update={"id": new_job_id(), "project": project}))


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"project_weights": WEIGHTS})


@pytest.fixture
def queue(volume):
    put_dataset(volume, learnable_frame(rows=10))
    return [
        post(volume, project, priority)
        for priority in (5, 2, 5)
        for project in ("default", "vision", "sound", "vision", "vision")
    ]


def end(volume, attempt):
    attempt.close(finished())
    attempt.job.settle(finished().ending, 1)
    volume.close_job(OpenJob.of(attempt.job.record()))


def claim_all(volume):
    while (attempt := claim_next(volume, Owner("w", "h", 1, 0, "CPU"), WEIGHTS)) is not None:
        yield attempt.job.id
        end(volume, attempt)


def test_the_queue_is_served_as_it_is_shown(client, volume, queue):
    end(volume, claim_next(volume, Owner("w", "h", 1, 0, "CPU"), WEIGHTS))
    shown = client.get("/queue?limit=1000").json["data"]
    assert [one["position"] for one in shown] == list(range(1, len(queue)))
    told = {one["id"]: client.get(f"/jobs/{one['id']}").json["queue_position"] for one in shown}
    assert told == {one["id"]: one["position"] for one in shown}
    listed = {one["id"]: one["queue_position"] for one in client.get("/jobs?limit=100&status=queued").json["data"]}
    assert listed == told
    assert list(claim_all(volume)) == [one["id"] for one in shown]


def test_a_job_that_was_just_posted_has_its_place_at_once(volume):
    places = QueuePlaces(volume, WEIGHTS)
    jobs = [post(volume, project, 5) for project in ("default", "vision", "default", "sound", "vision", "default")]
    for known in range(1, len(jobs) + 1):
        asked = [OpenJob.of(job.record()) for job in jobs[:known]]
        told = places.of(*asked)
        assert set(told) == {job.id for job in jobs[:known]}
    order = [job.job_id for job in queued_jobs(volume, WEIGHTS)]
    assert [places.of(OpenJob.of(volume.job(job_id).record()))[job_id] for job_id in order] == list(range(1, 7))
    assert places.of(OpenJob(5, new_job_id(), "vision")) == {}


def test_a_page_of_the_queue_of_one_project_keeps_the_places_in_the_whole(client, volume, queue):
    whole = client.get("/queue?limit=1000").json["data"]
    own = client.get("/queue?project=sound&limit=2").json
    assert [one["project"] for one in own["data"]] == ["sound"] * 2
    assert own["has_more"]
    rest = client.get(f"/queue?project=sound&after={own['data'][-1]['id']}").json
    assert own["data"] + rest["data"] == [one for one in whole if one["project"] == "sound"]


def test_a_volume_of_an_older_version_is_one_project(tmp_path):
    volume = Volume(tmp_path)
    jobs = [post(volume, "default", priority) for priority in (5, 0)]
    assert [one.job_id for one in queued_jobs(volume, {})] == [jobs[1].id, jobs[0].id]
