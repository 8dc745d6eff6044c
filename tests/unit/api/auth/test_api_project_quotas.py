"""The quotas of a project, and what counts against them."""

import json
import threading
from io import BytesIO

import pytest

from api import create_app
from api.state.service import Service
from shared.job import AttemptEnd, Ending
from shared.open_job import OpenJob
from shared.times import utc_now
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.keys import authorized
from tests.support.sweeps import sweep_document
from tests.support.waiting import wait_for

CSV = b"a,b\n" + b"1,2\n3,4\n" * 20


@pytest.fixture
def limited(settings, volume):
    """Make clients of the projects red and blue, of an app on which red has a quota."""
    put_dataset(volume, learnable_frame(), "red-data", "red")
    put_dataset(volume, learnable_frame(), "blue-data", "blue")

    def make(**quota):
        asked = {**dict(settings), "project_quotas": json.dumps({"red": quota}), "gpu_price_per_hour": 3600}
        app = create_app(type(settings).model_validate(asked))
        keys = Service.of(app).keys
        return [authorized(app, keys.create(name, "write", None, name)[1]) for name in ("red", "blue")]

    return make


def spec(name):
    return small_spec(dataset={"id": f"{name}-data"})


def train(volume, name, seconds, **details):
    """Store a finished job that held its GPU for `seconds`, at one dollar per second."""
    job = put_job(volume, spec(name), name)
    attempt = claim(job, dollars_per_hour=3600)
    ending = Ending(status="succeeded")
    attempt.close(
        AttemptEnd(outcome="finished", ended_at="2026-01-01T00:00:00.000Z", ending=ending, held_seconds=seconds)
    )
    job.settle(ending, 1)
    volume.close_job(OpenJob(5, job.id, name))
    return job


def refuse(answer, status, code, *words):
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert all(word in answer.json["detail"] for word in words), answer.json["detail"]


def test_unfinished_jobs_of_all_keys_of_a_project_count_together(limited):
    red, blue = limited(unfinished_jobs=2)
    other = authorized(red.application, Service.of(red.application).keys.create("other", "write", None, "red")[1])
    jobs = [client.post("/jobs", json=spec("red")) for client in (red, other)]
    assert [answer.status_code for answer in jobs] == [202, 202]
    for client in (red, other):
        refused = client.post("/jobs", json=spec("red"))
        refuse(refused, 429, "project_jobs", '"red"', "has 2", "is 2", "cancel")
        assert int(refused.headers["Retry-After"]) > 0
    assert red.get("/limits").json["project"]["unfinished_jobs"] == {"limit": 2.0, "used": 2.0}
    assert [blue.post("/jobs", json=spec("blue")).status_code for _ in range(3)] == [202] * 3
    assert red.post(f"/jobs/{jobs[0].json['id']}/cancel").status_code == 200
    assert other.post("/jobs", json=spec("red")).status_code == 202


def test_a_sweep_is_refused_as_its_jobs_would_be(limited, volume):
    red, blue = limited(gpu_seconds_per_month=100)
    train(volume, "red", 100)
    refuse(red.post("/sweeps", json=sweep_document(job=spec("red"))), 403, "project_quota", "100 of 100 GPU seconds")
    assert red.get("/sweeps").json["data"] == []
    assert blue.post("/sweeps", json=sweep_document(job=spec("blue"))).status_code == 202


def test_the_gpu_seconds_of_a_month_end(limited, volume):
    red, blue = limited(gpu_seconds_per_month=100)
    train(volume, "red", 60)
    train(volume, "blue", 500)
    assert red.post("/jobs", json=spec("red")).status_code == 202
    train(volume, "red", 41.5)
    Service.of(red.application).usage.forget("red")
    refuse(red.post("/jobs", json=spec("red")), 403, "project_quota", "102 of 100 GPU seconds", "next month", "admin")
    shown = red.get("/limits").json["project"]
    assert (shown["name"], shown["gpu_seconds_per_month"]) == ("red", {"limit": 100.0, "used": 101.5})
    assert blue.get("/limits").json["project"]["gpu_seconds_per_month"] is None
    assert blue.post("/jobs", json=spec("blue")).status_code == 202
    assert red.put("/datasets/new", data=CSV).status_code == 201


def test_the_cost_of_a_month_ends_and_deleting_a_job_gives_nothing_back(limited, volume):
    red, _ = limited(cost_per_month=50)
    job = train(volume, "red", 60)
    refuse(red.post("/jobs", json=spec("red")), 403, "project_quota", "60.00 of 50.00 USD")
    assert red.delete(f"/jobs/{job.id}").status_code == 204
    refuse(red.post("/jobs", json=spec("red")), 403, "project_quota", "60.00 of 50.00 USD")
    assert red.get("/limits").json["project"]["cost_per_month"] == {"limit": 50.0, "used": 60.0}
    assert len(list((volume.root / "spent").glob(f"*/red/{job.id}.json"))) == 1


def test_attempts_of_another_month_and_costs_in_another_currency_do_not_count(limited, volume):
    red, _ = limited(cost_per_month=1, gpu_seconds_per_month=1000)
    old, foreign = train(volume, "red", 600), train(volume, "red", 7)
    for job, change in ((old, {"claimed_at": "2020-01-31T23:59:59.000Z"}), (foreign, {"currency": "EUR"})):
        file = job.attempts()[0].claim_file
        file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    shown = red.get("/limits").json["project"]
    assert shown["gpu_seconds_per_month"]["used"] == 7
    assert (shown["cost_per_month"]["used"], shown["currency"]) == (0.0, "USD")


def test_the_bytes_of_datasets_and_jobs_end(limited, volume):
    red, blue = limited(bytes=60_000)
    used = red.get("/limits").json["project"]["bytes"]["used"]
    assert 1000 < used < 50_000
    job = train(volume, "red", 1)
    job.attempts()[0].checkpoints.mkdir()
    (job.attempts()[0].checkpoints / "model.keras").write_bytes(b"0" * 60_000)
    Service.of(red.application).usage.forget("red")
    refuse(red.put("/datasets/new", data=CSV), 403, "project_quota", "of 60000 bytes", f"has {len(CSV)}", "delete")
    refuse(red.post("/jobs", json=spec("red")), 403, "project_quota", "of 60000 bytes")
    assert volume.dataset("new") is None
    assert blue.put("/datasets/new", data=CSV).status_code == 201
    assert red.delete(f"/jobs/{job.id}").status_code == 204
    assert red.put("/datasets/newer", data=CSV).status_code == 201
    assert red.get("/limits").json["project"]["bytes"]["used"] > used


def test_a_repeated_upload_and_a_body_without_a_length_meet_the_quota_as_they_should(limited):
    red, _ = limited(bytes=6_000_000)
    assert red.put("/datasets/new", data=CSV).status_code == 201
    usage = Service.of(red.application).usage
    usage.bytes = lambda _: 6_000_000
    assert red.put("/datasets/new", data=CSV).status_code == 200
    refuse(red.put("/datasets/newer", data=CSV), 403, "project_quota", "of 6000000 bytes")
    usage.bytes = lambda _: 6_000_000 - len(CSV) + 1
    chunked = {"Transfer-Encoding": "chunked"}
    answer = red.put(
        "/datasets/newer", input_stream=BytesIO(CSV), headers=chunked, environ_base={"wsgi.input_terminated": True}
    )
    refuse(answer, 403, "project_quota")


def test_a_sum_that_takes_long_is_the_last_one_that_is_known(limited, volume, monkeypatch):
    red, _ = limited(gpu_seconds_per_month=100)
    usage, may_go = Service.of(red.application).usage, threading.Event()
    train(volume, "red", 60)
    assert usage.spent("red").gpu_seconds == 60
    train(volume, "red", 50)
    monkeypatch.setattr("api.state.project_usage._WAIT_SECONDS", 0.05)
    count = usage._count
    monkeypatch.setattr(usage, "_count", lambda *asked: may_go.wait(60) and count(*asked))
    usage.forget("red")
    assert usage.spent("red").gpu_seconds == 60
    assert red.post("/jobs", json=spec("red")).status_code == 202
    may_go.set()
    wait_for(lambda: usage.spent("red").gpu_seconds == 110, 30)
    refuse(red.post("/jobs", json=spec("red")), 403, "project_quota")


def test_a_job_that_still_runs_counts_by_its_last_event(limited, volume):
    red, _ = limited(gpu_seconds_per_month=10)
    attempt = claim(put_job(volume, spec("red"), "red"))
    event = {"time": utc_now(), "type": "epoch", "level": "info", "message": "", "data": {}, "at": 12.5}
    attempt.events_file.write_text(json.dumps(event) + "\n")
    refuse(red.post("/jobs", json=spec("red")), 403, "project_quota", "12 of 10 GPU seconds")


def test_a_quota_for_all_other_projects(settings, volume):
    asked = {**dict(settings), "project_quotas": '{"*": {"unfinished_jobs": 0}, "default": {}}'}
    app = create_app(type(settings).model_validate(asked))
    put_dataset(volume, learnable_frame(), "red-data", "red")
    put_dataset(volume, learnable_frame(), "default-data")
    red = authorized(app, Service.of(app).keys.create("red", "write", None, "red")[1])
    refuse(red.post("/jobs", json=spec("red")), 429, "project_jobs")
    assert authorized(app).post("/jobs", json=spec("default")).status_code == 202


def test_without_quotas_nothing_is_measured(settings, client, monkeypatch, grades):
    monkeypatch.setattr(Service.of(client.application).usage, "_sum", lambda *_: pytest.fail("measured"))
    assert client.post("/jobs", json=small_spec()).status_code == 202
    assert client.get("/limits").json["project"] == {
        "name": "default", "weight": 1, "bytes": None, "unfinished_jobs": None, "gpu_seconds_per_month": None,
        "cost_per_month": None, "currency": "USD", "month": client.get("/limits").json["project"]["month"],
    }  # fmt: skip
