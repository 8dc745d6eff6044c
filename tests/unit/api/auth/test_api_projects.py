"""What a key may do to the jobs and datasets of its own project; other projects see nothing of them."""

import json

import pytest

from api.state.service import Service
from tests.support.jobs import learnable_frame, put_dataset
from tests.support.two_projects import PROJECTS, files_of, steady, two_projects

CSV = b"kind,label\n" + b"red,1\nblue,0\nred,0\n" * 20


@pytest.fixture
def world(app):
    return two_projects(app)


def test_a_job_on_data_of_another_project_is_a_job_on_data_that_is_not_there(world):
    spec, client = world.things["blue"].spec, world.clients["red", "write"]
    foreign = client.post("/jobs", json=spec)
    none = client.post("/jobs", json={**spec, "dataset": {**spec["dataset"], "id": "no-such-data"}})
    assert (foreign.status_code, foreign.json["code"]) == (404, "unknown_dataset")
    assert steady(foreign, "blue-data") == steady(none, "no-such-data")
    assert client.post("/jobs?dry_run=true", json=spec).status_code == 404
    posted = client.post("/jobs", json=world.things["red"].spec)
    assert (posted.status_code, posted.json["project"]) == (202, "red")
    record = world.volume.job(posted.json["id"]).record()
    assert record.project == "red"
    assert world.volume.open.joinpath(f"5-{record.id}.red").exists()


@pytest.mark.parametrize("kind", ["table", "images", "arrays"])
def test_not_even_the_kind_of_data_of_another_project_is_told(world, kind):
    document = world.volume.datasets / "blue-data" / "dataset.json"
    document.write_text(json.dumps({**json.loads(document.read_text()), "kind": kind}))
    client = world.clients["red", "write"]
    for spec in ({"dataset": {"id": "ID"}}, {"dataset": {"id": "ID", "target": "x"}, "model": {"layers": [0]}}):
        foreign, none = (
            client.post("/jobs", json={**spec, "dataset": {**spec["dataset"], "id": dataset_id}})
            for dataset_id in ("blue-data", "no-such-data")
        )
        assert steady(foreign, "blue-data") == steady(none, "no-such-data")


def test_an_upload_under_an_id_of_another_project_is_a_conflict_that_tells_nothing(world):
    client, before = world.clients["red", "write"], files_of(Service.of(world.app), world.things["blue"])
    info = world.volume.dataset("blue-data")
    same = (world.volume.data_file("blue-data")).read_bytes()
    for body in (CSV, same):
        refused = client.put("/datasets/blue-data", data=body)
        assert (refused.status_code, refused.json["detail"]) == (
            409, 'the id "blue-data" is taken by another project; choose another id',
        )  # fmt: skip
    assert files_of(Service.of(world.app), world.things["blue"]) == before
    assert world.volume.dataset("blue-data") == info
    made = client.put("/datasets/new-data", data=CSV)
    assert (made.status_code, made.json["project"]) == (201, "red")
    assert world.clients["blue", "read"].get("/datasets/new-data").status_code == 404


def test_a_dataset_of_another_project_is_no_place_in_the_list_not_even_when_it_was_deleted(world):
    put_dataset(world.volume, learnable_frame(10), "blue-gone", "blue")
    assert world.clients["blue", "write"].delete("/datasets/blue-gone").status_code == 204
    none = world.clients["red", "read"].get("/datasets?after=no-such-data")
    for name in ("blue-data", "blue-gone"):
        assert steady(world.clients["red", "read"].get(f"/datasets?after={name}"), name) == steady(none, "no-such-data")
        assert world.clients["blue", "read"].get(f"/datasets?after={name}").status_code == 200


def test_a_job_that_an_admin_retries_or_extends_stays_in_its_project(world):
    admin = world.clients["blue", "admin"]
    retried = admin.post(f"/jobs/{world.things['red'].failed}/retry")
    extended = admin.post(
        f"/jobs/{world.things['red'].finished}/extend", json={"epochs": 50, "early_stopping": {"patience": 9}}
    )
    assert (retried.status_code, extended.status_code) == (202, 202)
    for answer in (retried, extended):
        assert world.clients["red", "read"].get(f"/jobs/{answer.json['id']}").json["project"] == "red"
        assert world.clients["blue", "read"].get(f"/jobs/{answer.json['id']}").status_code == 404


def test_an_idempotency_key_of_one_project_finds_no_job_of_another(world):
    header = {"Idempotency-Key": "one"}
    first, other = (
        world.clients[name, "write"].post("/jobs", json=world.things[name].spec, headers=header) for name in PROJECTS
    )
    assert (first.status_code, other.status_code) == (202, 202)
    assert first.json["id"] != other.json["id"]


def test_a_session_of_the_page_reaches_the_project_of_its_key(app, world):
    _, key = Service.of(app).keys.create("page", "read", None, "red")
    browser = app.test_client()
    signed = browser.post("/page/sign-in", json={"key": key}, headers={"Origin": "http://localhost"})
    assert signed.status_code == 200
    assert browser.get(f"/jobs/{world.things['red'].finished}").status_code == 200
    assert browser.get(f"/page/jobs/{world.things['blue'].finished}").status_code == 404
    assert {row["project"] for row in browser.get("/page/rows").json["data"]} == {"red"}


def test_damaged_records_are_named_to_those_alone_whose_they_are(world):
    job, dataset = world.things["blue"].finished, world.volume.datasets / "blue-data" / "dataset.json"
    spec = world.volume.job(job).spec_file
    document = json.loads(spec.read_text())
    for broken in ({**document, "task": 3}, "{"):
        spec.unlink()
        spec.write_text(broken if isinstance(broken, str) else json.dumps(broken))
        assert world.clients["red", "read"].get(f"/jobs/{job}").status_code == 404
        assert job not in world.clients["red", "read"].get("/jobs?limit=100").get_data(as_text=True)
        assert job in world.clients["red", "admin"].get("/jobs?limit=100").get_data(as_text=True)
    dataset.write_text(json.dumps({**json.loads(dataset.read_text()), "rows": "many"}))
    assert world.clients["red", "read"].get("/datasets/blue-data").status_code == 404
    assert world.clients["red", "write"].put("/datasets/blue-data", data=CSV).status_code == 409
    assert world.clients["blue", "read"].get("/datasets/blue-data").status_code == 500
