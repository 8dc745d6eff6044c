"""Jobs that run a program: what is pinned, what is refused, and what their readers say."""

from shared.events import Event, EventWriter
from shared.job import pin_program
from tests.support.jobs import claim
from tests.support.keys import authorized
from tests.support.programs import put_program

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
    assert any("nothing stops this job" in one for one in shown["warnings"])
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


def test_a_retry_runs_only_the_version_that_failed(client, volume):
    put_program(volume, files=SCRIPT)
    job = client.post("/jobs", json={"program": {"id": "mine"}}).json["id"]
    client.post(f"/jobs/{job}/cancel")
    assert client.post(f"/jobs/{job}/retry").status_code == 202
    put_program(volume, files={"train.py": b"pass\n"})
    answer = client.post(f"/jobs/{job}/retry")
    assert (answer.status_code, "another version" in answer.json["detail"]) == (409, True)


def test_every_reader_says_something_true_of_a_job_without_a_dataset(client, volume):
    put_program(volume, files=SCRIPT)
    job = client.post("/jobs", json={"program": {"id": "mine"}}).json["id"]
    attempt = claim(volume.job(job))
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
