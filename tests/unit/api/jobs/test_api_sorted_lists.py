"""GET /jobs?sort=: every order page by page, and the cost of the running jobs."""

import json

import pytest

from api.state import index
from api.state.index_file import ORDERS
from shared.job import Ending, Stop
from shared.open_job import OpenJob
from shared.progress import Best
from tests.support.jobs import claim
from tests.support.waiting import wait_for


def end(volume, job, best, epoch):
    stop = Stop(reason="epochs_completed", last_epoch=epoch, best=Best(epoch=1, monitor="val_accuracy", value=best))
    job.settle(Ending(status="succeeded", stop=stop), attempt=1)
    volume.close_job(OpenJob(job.record().spec.priority, job.id))


def pages(client, query):
    """Return the names of all jobs, read in pages of one."""
    names, after = [], ""
    while True:
        page = client.get(f"/jobs?limit=1&{query}{after}").json
        names += [job["name"] for job in page["data"]]
        assert page["has_more"] == (page["next"] is not None)
        if not page["has_more"]:
            return names
        after = f"&after={page['next']}"


@pytest.fixture
def jobs(volume, new_job):
    """Two jobs that have ended, and two that have not."""
    made = [
        new_job(name=name, priority=priority, metadata=metadata)
        for name, priority, metadata in [
            ("Édith", 5, {"lr": "b"}),
            ("bruno", 1, {"lr": "a"}),
            ("Carla", 9, {"lr": "a"}),
            ("anna", 5, {}),
        ]
    ]
    for job, best, epoch in ((made[0], 0.7, 30), (made[2], 0.9, 12)):
        claim(job)
        end(volume, job, best, epoch)
    return made


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("name", ["anna", "bruno", "Carla", "Édith"]),
        ("-name", ["Édith", "Carla", "bruno", "anna"]),
        ("created", ["Édith", "bruno", "Carla", "anna"]),
        ("-created", ["anna", "Carla", "bruno", "Édith"]),
        ("priority", ["bruno", "anna", "Édith", "Carla"]),
        ("-best", ["Carla", "Édith", "anna", "bruno"]),
        ("best", ["Édith", "Carla", "anna", "bruno"]),
        ("epoch", ["Carla", "Édith", "anna", "bruno"]),
        ("metadata.lr", ["Carla", "bruno", "Édith", "anna"]),
        ("-metadata.lr", ["Édith", "Carla", "bruno", "anna"]),
    ],
)
def test_every_order_is_the_same_page_by_page(client, jobs, sort, names):
    assert pages(client, f"sort={sort}") == names
    assert [row["name"] for row in client.get(f"/page/rows?sort={sort}").json["data"]] == names


def test_every_known_order_can_be_asked_for_with_every_filter(client, jobs):
    for by in ORDERS:
        for sort in (by, f"-{by}"):
            query = (
                f"sort={sort}&status=queued&status=succeeded&search=n&metadata.lr=a&created_after=2020-01-01T00:00:00Z"
            )
            assert pages(client, query) == ["bruno"], sort
    assert pages(client, "sort=-finished&status=succeeded") == ["Carla", "Édith"]


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("sort=size", "sort"),
        ("sort=metadata.", "sort"),
        ("sort=--best", "sort"),
        ("sort=best&after=job_01K3ZQ0000000000000000000A", "after"),
        ("sort=best&after=bm90IGpzb24", "after"),
        ("sort=best&after=%FF", "after"),
        (f"sort=epoch&after={'9' * 30}", "after"),
        ("tag=", "tag"),
    ],
)
def test_an_order_and_a_place_in_it_that_cannot_be_meant_are_named(client, query, place):
    answer = client.get(f"/jobs?{query}")
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json["errors"]] == [f"#/query/{place}"]


def test_a_number_that_no_index_takes_sets_only_its_job_aside(client, volume, new_job):
    """Files on the volume are untrusted input."""
    job, other = new_job(name="large"), new_job(name="other")
    claim(job)
    end(volume, job, 0.5, 30)
    result = json.loads(job.result_file.read_bytes())
    result["ending"]["stop"]["last_epoch"] = 10**30
    job.result_file.write_text(json.dumps(result))
    page = client.get("/jobs?sort=-epoch").json
    assert [one["id"] for one in page["data"]] == [other.id]
    assert [one["id"] for one in page["set_aside"]] == [job.id]


def test_a_job_that_is_deleted_between_two_pages_loses_no_other(client, jobs):
    first = client.get("/jobs?limit=1&sort=-best").json
    assert client.delete(f"/jobs/{first['data'][0]['id']}").status_code == 204
    second = client.get(f"/jobs?limit=1&sort=-best&after={first['next']}").json
    assert [job["name"] for job in second["data"]] == ["Édith"]


def test_without_an_index_an_order_is_refused_until_there_is_one(client, jobs, monkeypatch):
    def behind(_self):
        raise index.IndexNotReady

    monkeypatch.setattr(index.JobIndex, "catch_up", behind)
    answer = client.get("/jobs?sort=name")
    assert (answer.status_code, answer.json["code"]) == (503, "index_building")
    assert answer.headers["Retry-After"] == "2"


def test_what_runs_now_is_summed_by_its_price(client, volume, new_job):
    empty = {"running": 0, "unpriced": 0, "costs": []}
    assert client.get("/usage").json["now"] == empty
    jobs = [new_job() for _ in range(4)]
    for job in jobs[:2]:
        claim(job, dollars_per_hour=2.25)
    claim(jobs[2])
    told = {"running": 3, "unpriced": 1, "costs": [{"currency": "USD", "per_hour": 4.5}]}
    # The API looks every half second which jobs workers have claimed.
    wait_for(lambda: client.get("/usage").json["now"] == told, 10, every=0.1)
    assert client.get("/page/rows").json["now"] == told
    end(volume, jobs[0], 0.5, 1)
    wait_for(lambda: client.get("/page/rows").json["now"]["running"] == 2, 10, every=0.1)
