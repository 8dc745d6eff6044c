"""Two projects over a real server: an encoded path is the same route with the same rules, and uploads stay apart."""

import json

import pytest

from shared.ids import new_job_id
from shared.job import Ending
from tests.support.finished_job import finished_job
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.waiting import wait_for

CSV = b"kind,label\n" + b"red,1\nblue,0\nred,0\n" * 20
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def keys(api):
    """The headers with a write key of each project."""
    made = {
        name: api.ask("POST", "/keys", {"name": name, "scope": "write", "project": name}).json
        for name in ("red", "blue")
    }
    assert {name: one["project"] for name, one in made.items()} == {"red": "red", "blue": "blue"}
    return {name: {"Authorization": f"Bearer {one['key']}"} for name, one in made.items()}


@pytest.fixture(scope="module")
def finished(api):
    put_dataset(api.volume, learnable_frame(), "blue-data", "blue")
    return finished_job(api.volume, "blue", "blue-data")


def plain(answer):
    """Return an answer without what differs between requests."""
    document = answer.json
    document.pop("request_id", None)
    document.pop("instance", None)
    return answer.status, document


def test_an_encoded_slash_is_the_same_route_with_the_same_rules(api, keys, finished):
    encoded, usual = f"/jobs/{finished.id}%2Fevents", f"/jobs/{finished.id}/events"
    assert plain(api.ask("GET", encoded, **keys["blue"])) == plain(api.ask("GET", usual, **keys["blue"]))
    foreign = [api.ask("GET", path, **keys["red"], **more) for path in (encoded, usual) for more in ({}, STREAM)]
    assert {answer.status for answer in foreign} == {404}
    missing = api.ask("GET", f"/jobs/{new_job_id()}%2Fevents", **keys["red"])
    assert all(plain(answer) == plain(missing) for answer in foreign)
    for path in (encoded, f"/jobs%2F{finished.id}/events", f"/%6aobs/{finished.id}/%65vents"):
        assert api.ask("GET", path, Authorization="").status == 401
        streamed = api.ask("GET", path, **keys["blue"], **STREAM)
        assert streamed.headers["Content-Type"].startswith("text/event-stream")
        assert streamed.body.rstrip().endswith(b'"status":"succeeded"}')


def test_streams_by_an_encoded_path_take_and_give_back_places(api, keys):
    job = put_job(api.volume, small_spec(dataset={"id": "blue-data"}), "blue")
    connections = []
    for _ in range(4):
        connection = api.connect()
        connection.request("GET", f"/jobs/{job.id}%2Fevents", headers={**keys["blue"], **STREAM})
        assert connection.getresponse().status == 200
        connections.append(connection)
    assert api.ask("GET", f"/jobs/{job.id}/events", **keys["blue"], **STREAM).status == 503
    for connection in connections:
        connection.close()
    job.settle(Ending(status="cancelled"), None)
    wait_for(lambda: api.ask("GET", f"/jobs/{job.id}/events", **keys["blue"], **STREAM).status == 200, 30)


def test_an_upload_and_a_job_of_one_project_are_not_there_for_another(api, keys):
    made = api.ask("PUT", "/datasets/of-red", CSV, **keys["red"])
    assert (made.status, made.json["project"]) == (201, "red")
    assert api.ask("PUT", "/datasets/of-red", CSV, **keys["red"]).status == 200
    # Refused before the body is read.
    refused = api.ask("PUT", "/datasets/of-red", b"0" * 2_000_000, **keys["blue"])
    assert (refused.status, refused.json["detail"].partition(";")[0]) == (
        409,
        'the id "of-red" is taken by another project',
    )
    assert api.ask("GET", "/datasets/of-red", **keys["blue"]).status == 404
    spec = {"dataset": {"id": "of-red", "target": "label"}}
    assert api.ask("POST", "/jobs", spec, **keys["blue"]).status == 404
    job = api.ask("POST", "/jobs", spec, **keys["red"]).json
    assert job["project"] == "red"
    for path in ("", "/explain", "/events", "/epochs", "/forecast"):
        assert api.ask("GET", f"/jobs/{job['id']}{path}", **keys["blue"]).status == 404
    assert api.ask("POST", f"/jobs/{job['id']}/cancel", {}, **keys["blue"]).status == 404
    assert job["id"] not in json.dumps(api.ask("GET", "/queue?limit=1000", **keys["blue"]).json)
    assert api.ask("POST", f"/jobs/{job['id']}/cancel", **keys["red"]).status == 200
