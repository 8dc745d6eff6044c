"""Jobs that run a program: what is pinned, what is refused, and what the routes answer."""

from shared.events import Event, EventWriter
from shared.job import pin_program
from tests.support.jobs import claim
from tests.support.keys import authorized
from tests.support.programs import put_program
from tests.support.waiting import wait_for
from tests.unit.api.operate.test_api_workers import card

SCRIPT = {"train.py": b"import keras\n", "lib/help.py": b""}


def test_a_job_pins_the_version_of_its_program_and_of_each_dataset(client, volume, grades):
    program = put_program(volume, files=SCRIPT)
    answer = client.post("/jobs", json={"program": {"id": "mine", "datasets": [grades.id], "arguments": ["--fast"]}})
    assert answer.status_code == 202
    record = volume.job(answer.json["id"]).record()
    assert (record.program_version, record.datasets_sha256) == (program.version, {grades.id: grades.data_sha256})
    assert record.data_sha256 == pin_program(program.version, record.datasets_sha256)
    assert record.spec.program.entry == "train.py"
    assert volume.has_files(record)
    shown = client.get(answer.headers["Location"]).json
    assert (shown["name"], shown["task"], shown["spec"]["program"]["arguments"]) == ("mine", None, ["--fast"])
    assert any("this job has no budget" in one for one in shown["warnings"])
    assert client.post("/jobs", json=shown["spec"]).status_code == 202


def test_everything_that_is_not_there_is_named_in_one_answer(client, volume):
    put_program(volume, "two", {"a.py": b"", "b.py": b""})
    wrong = {"id": "two", "entry": "c.py", "datasets": ["none", "nothing"], "environment": {"HOME": "x"}}
    budget = {"deadline": "2020-01-01T00:00:00Z"}
    answer = client.post("/jobs", json={"program": wrong, "budget": budget})
    assert answer.status_code == 422
    assert {(one["pointer"], one["code"]) for one in answer.json["errors"]} == {
        ("#/program/entry", "unknown_entry"),
        ("#/program/datasets/0", "unknown_dataset"),
        ("#/program/datasets/1", "unknown_dataset"),
        ("#/program/environment/HOME", "invalid"),
        ("#/budget/deadline", "passed"),
    }
    unknown = client.post("/jobs", json={"program": {"id": "absent"}}).json["errors"]
    assert [(one["pointer"], one["code"]) for one in unknown] == [("#/program/id", "unknown_program")]
    several = client.post("/jobs", json={"program": {"id": "two"}}).json["errors"]
    assert [(one["pointer"], one["code"]) for one in several] == [("#/program/entry", "missing")]


def test_a_key_of_scope_write_may_not_run_a_program(app, client, volume):
    put_program(volume, files=SCRIPT)
    key = client.post("/keys", json={"name": "w", "scope": "write"}).json["key"]
    writer = authorized(app, key)
    answer = writer.post("/jobs", json={"program": {"id": "mine", "datasets": ["none"]}})
    assert {one["code"] for one in answer.json["errors"]} == {"scope", "unknown_dataset"}
    coder = authorized(app, client.post("/keys", json={"name": "c", "scope": "code"}).json["key"])
    assert coder.post("/jobs", json={"program": {"id": "mine"}}).status_code == 202


def test_a_job_runs_the_latest_version_or_the_one_that_it_names(client, volume):
    first, second = put_program(volume, files=SCRIPT), put_program(volume, files={"train.py": b"pass\n"})
    for asked, version in (({}, second.version), ({"version": first.version}, first.version)):
        job = client.post("/jobs", json={"program": {"id": "mine", **asked}})
        record = volume.job(job.json["id"]).record()
        assert (record.program_version, record.spec.program.version) == (version, version)
    missing = client.post("/jobs", json={"program": {"id": "mine", "version": "0" * 64}}).json["errors"]
    assert [(one["pointer"], one["code"]) for one in missing] == [("#/program/version", "unknown_version")]
    wrong = client.post("/jobs", json={"program": {"id": "mine", "version": "newest"}}).json["errors"]
    assert [one["pointer"] for one in wrong] == ["#/program/version"]


def test_a_retry_runs_the_version_that_failed(client, volume):
    first = put_program(volume, files=SCRIPT)
    job = client.post("/jobs", json={"program": {"id": "mine"}}).json["id"]
    client.post(f"/jobs/{job}/cancel")
    put_program(volume, files={"train.py": b"pass\n"})
    again = client.post(f"/jobs/{job}/retry")
    assert (again.status_code, volume.job(again.json["id"]).record().program_version) == (202, first.version)
    volume.remove_program("mine")
    gone = client.post(f"/jobs/{job}/retry")
    assert [one["pointer"] for one in gone.json["errors"]] == ["#/program/version"]


def test_a_program_of_an_unfinished_job_is_not_deleted(client, volume):
    put_program(volume, files=SCRIPT)
    job = client.post("/jobs", json={"program": {"id": "mine"}}).json["id"]
    refused = client.delete("/programs/mine")
    assert (refused.status_code, job in refused.json["detail"]) == (409, True)
    client.post(f"/jobs/{job}/cancel")
    assert client.delete("/programs/mine").status_code == 204


def test_every_reader_says_something_true_of_a_job_without_a_dataset(client, volume):
    put_program(volume, files=SCRIPT)
    job = client.post("/jobs", json={"program": {"id": "mine"}}).json["id"]
    attempt = claim(volume.job(job))
    assert client.get(f"/jobs/{job}/forecast").json["reason"] == "its script has not called fit yet"
    with EventWriter(attempt.events_file, 0.0) as events:
        rule = {"monitor": "val_mine", "mode": "max", "patience": 2, "min_delta": 0.0, "start_from_epoch": 0}
        call = {"number": 1, "after_epoch": 0, "epochs": 9, "batch_size": 8, "rule": rule}
        events.write([Event("data", "", {"training_rows": 80}), Event("fit", "", call)])
        for epoch, value in enumerate((0.5, 0.7, 0.6), 1):
            events.write([Event("epoch", "", _epoch(epoch, value))])
    for path in ("", "/epochs", "/events", "/explain", "/forecast", "/checkpoints"):
        assert client.get(f"/jobs/{job}{path}").status_code == 200, path
    assert client.get(f"/jobs/{job}/forecast").json["epochs"] == 9
    assert "val_mine last improved at epoch 2" in client.get(f"/jobs/{job}/explain").json["text"]
    replayed = client.post(f"/jobs/{job}/replay", json={"patience": 1}).json
    assert (replayed["early_stopping"]["mode"], replayed["stop"]["epoch"]) == ("max", 3)
    assert [row["dataset"] for row in client.get("/page/rows").json["data"]] == ["mine"]
    assert client.get("/usage").status_code == client.get("/queue").status_code == 200
    refused = client.post(f"/jobs/{job}/extend", json={"epochs": 20})
    assert (refused.status_code, "script sets its epochs" in refused.json["detail"]) == (409, True)
    bundle = client.get(f"/jobs/{job}/bundle.zip")
    assert (bundle.status_code, "has no bundle" in bundle.json["detail"]) == (404, True)


def _epoch(number: int, value: float) -> dict:
    stopping = {
        "monitor": "val_mine", "wait": 0 if number < 3 else 1, "patience": 2, "stops_at_epoch": 4,
        "last_improvement": {"epoch": min(number, 2), "value": 0.7, "min_delta": 0.0},
    }  # fmt: skip
    return {
        "epoch": number, "epochs": 9, "metrics": {"loss": 1.0, "val_mine": value}, "learning_rate": 0.001,
        "seconds": 0.1, "best": None, "early_stopping": stopping, "reduce_lr": None,
    }  # fmt: skip


def test_a_queued_program_says_that_no_worker_runs_programs(client, volume):
    put_program(volume, files=SCRIPT)
    job = client.post("/jobs", json={"program": {"id": "mine"}}).json
    assert not any("no worker runs programs" in one for one in job["warnings"])
    volume.show_worker(card(no_programs="FITSTOP_ALLOW_CODE=no"))
    volume.show_worker(card(worker="old-1", host="old"))
    reason = "no worker runs programs (gpu-1: FITSTOP_ALLOW_CODE=no; old: too old for programs)"
    wait_for(lambda: client.get(f"/jobs/{job['id']}").json["warnings"][-1].startswith(reason), 5)
    [queued] = client.get("/queue").json["data"]
    assert (queued["waits"]["reason"], queued["waits"]["detail"].startswith(reason)) == ("no_code_worker", True)
    again = client.post("/jobs", json={"program": {"id": "mine"}}).json
    assert again["warnings"][-1].startswith(reason)
    volume.show_worker(card(worker="gpu-2-abc", programs="boxed"))
    assert not any("no worker runs" in one for one in client.get(f"/jobs/{again['id']}").json["warnings"])
    assert [one["waits"]["reason"] for one in client.get("/queue").json["data"]] == ["next", "busy"]
