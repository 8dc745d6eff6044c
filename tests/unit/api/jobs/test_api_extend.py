"""POST /jobs/{id}/extend: what is inherited, what is refused, and that neither job needs the other afterwards."""

import os
import shutil

import pytest

from shared.events import Event, EventWriter
from shared.job import Ending, EnginePlan, Stop
from shared.manifest import Checkpoint, Manifest, write_manifest
from shared.open_job import OpenJob
from shared.points import point_name
from shared.progress import Best, EpochProgress
from shared.times import utc_now
from tests.support.both_stores import uploads_of
from tests.support.extending import content
from tests.support.jobs import claim, learnable_frame, put_dataset

pytestmark = pytest.mark.both_stores

VALUES = [0.5, 0.6, 0.7, 0.7, 0.7]
PLAN = EnginePlan(engine="fused", xla=False, threads=1, validation_batch=48, steps_per_epoch=6, reason="so")


def told(epoch, best):
    progress = EpochProgress(
        epoch=epoch, epochs=20, metrics={"val_accuracy": VALUES[epoch - 1], "val_loss": 1 - VALUES[epoch - 1]},
        learning_rate=0.001, seconds=0.5, best=Best(epoch=best, monitor="val_accuracy", value=VALUES[best - 1]),
        early_stopping=None, reduce_lr=None,
    )  # fmt: skip
    return Event("epoch", f"epoch {epoch}", progress.model_dump(mode="json"), time=utc_now())


def name_of(epoch):
    return f"model-{epoch:02d}-{VALUES[epoch - 1]:.2f}.keras"


def write_run(job, attempt, *, points):
    """Write what the job's training process leaves."""
    with EventWriter(attempt.events_file) as events:
        events.write([Event("engine", "e", {}), *(told(epoch, min(epoch, 3)) for epoch in range(1, 6))])
        events.write([Event("stop", "stopped", {"epoch": 5})])
    attempt.training_log.write_text("epoch,val_accuracy\n" + "".join(f"{n},{v}\n" for n, v in enumerate(VALUES)))
    attempt.checkpoints.mkdir()
    kept = []
    for epoch in (2, 3):
        (attempt.checkpoints / name_of(epoch)).write_bytes(b"model")
        kept.append(
            Checkpoint(name=name_of(epoch), epoch=epoch, bytes=5, sha256="0" * 64, saved_at=utc_now(), metrics={})
        )
    write_manifest(attempt.manifest_file, Manifest(best=name_of(3), checkpoints=tuple(kept)))
    attempt.preprocessing_file.write_bytes(b"steps")
    attempt.inference_file.write_bytes(b"{}")
    job.keep_to(PLAN)
    if points:
        attempt.resume.mkdir()
        (attempt.resume / point_name(5, 0)).write_bytes(b"point")


def give_a_run(volume, job, *, is_over=True, points=True):
    """Give the job a run of five epochs, the third the best, stopped after two without improvement."""
    attempt = claim(job)
    with uploads_of(attempt):
        write_run(job, attempt, points=points)
    if is_over:
        job.settle(Ending(status="succeeded", stop=Stop(reason="early_stopping", last_epoch=5)), attempt=1)
        volume.close_job(OpenJob(5, job.id))
    return job


@pytest.fixture
def over(volume, new_job):
    return give_a_run(
        volume, new_job(hyperparameters={"epochs": 20}, callbacks={"early_stopping": {"patience": 2}},
                        budget={"max_gpu_seconds": 50})
    )  # fmt: skip


def model_of(client, job_id):
    with client.get(f"/jobs/{job_id}/model") as answer:
        return answer.data


def extend(client, job, headers=None, **body):
    return client.post(f"/jobs/{job.id}/extend", json=body, headers=headers or {})


def test_the_new_job_shows_the_whole_run_before_a_worker_has_seen_it(client, over):
    before = content(over.path)
    answer = extend(client, over, early_stopping={"patience": 4})
    assert (answer.status_code, answer.json["status"], answer.json["id"] != over.id) == (202, "queued", True)
    assert answer.headers["Location"] == f"/jobs/{answer.json['id']}"
    assert (answer.json["extends"], answer.json["extends_from"]) == (over.id, "last")
    assert answer.json["spec"]["callbacks"]["early_stopping"]["patience"] == 4
    assert answer.json["spec"]["budget"]["max_gpu_seconds"] == 50
    progress = answer.json["progress"]
    assert (progress["epoch"], progress["best"]["epoch"]) == (5, 3)
    assert (progress["early_stopping"]["wait"], progress["early_stopping"]["stops_at_epoch"]) == (2, 7)
    assert answer.json["ledger"]["gpu_seconds"]["total"] == 0
    assert answer.json["engine"]["reason"] == "so"
    own = f"/jobs/{answer.json['id']}"
    rows = client.get(f"{own}/epochs").json["data"]
    assert [row["metrics"]["val_accuracy"] for row in rows] == VALUES
    assert client.get(f"{own}/training_log.csv").text == client.get(f"/jobs/{over.id}/training_log.csv").text
    assert model_of(client, answer.json["id"]) == b"model"
    assert [event["type"] for event in client.get(f"{own}/events").json["data"]] == ["epoch"] * 5 + ["extend"]
    assert client.get(f"{own}/explain").status_code == 200
    assert content(over.path) == before


def test_from_the_best_the_run_is_cut_behind_it(client, over):
    answer = extend(client, over, **{"from": "best"})
    own = f"/jobs/{answer.json['id']}"
    assert (answer.json["extends_from"], answer.json["progress"]["epoch"]) == ("best", 3)
    assert len(client.get(f"{own}/training_log.csv").text.splitlines()) == 1 + 3


def test_the_old_job_may_be_deleted_and_an_extension_extended(client, volume, over):
    second = extend(client, over, early_stopping={"patience": 4}).json["id"]
    assert client.delete(f"/jobs/{over.id}").status_code == 204
    assert model_of(client, second) == b"model"
    assert client.post(f"/jobs/{second}/cancel").json["stop"]["last_epoch"] == 5
    third = extend(client, volume.job(second), early_stopping={"patience": 6})
    assert (third.status_code, third.json["extends"], third.json["progress"]["epoch"]) == (202, second, 5)
    inherited = volume.job(third.json["id"]).inherited
    assert inherited.extended_record().id == over.id
    assert (inherited.resume / point_name(5, 0)).read_bytes() == b"point"


def test_what_prepares_the_rows_is_inherited_where_the_job_has_it(client, volume, machines, over):
    before = volume.job(extend(client, over, early_stopping={"patience": 4}).json["id"]).inherited
    assert before.preprocessing_file.exists()
    assert not before.schema_file.exists()
    attempt = over.attempts()[0]
    attempt.schema_file.write_bytes(b"a schema")
    attempt.prepare_file.write_bytes(b"a program")
    machines.upload(attempt.path)
    after = volume.job(extend(client, over, early_stopping={"patience": 5}).json["id"]).inherited
    assert (after.schema_file.read_bytes(), after.prepare_file.read_bytes()) == (b"a schema", b"a program")


def test_what_the_job_had_stays_unless_it_is_changed_and_null_drops_it(client, over):
    kept = extend(client, over, early_stopping={"patience": 9, "min_delta": 0.01}, budget={"max_cost": 3}).json["spec"]
    assert kept["budget"] == {"max_gpu_seconds": 50, "max_cost": 3, "deadline": None}
    assert kept["callbacks"]["early_stopping"]["monitor"] == "val_accuracy"
    off = extend(client, over, early_stopping=None, budget=None).json["spec"]
    assert (off["budget"], off["callbacks"]["early_stopping"]) == (None, None)
    other = extend(client, over, early_stopping={"monitor": "val_loss", "patience": 9}).json["spec"]
    assert other["callbacks"]["early_stopping"]["mode"] == "min"


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({}, ["#/early_stopping/patience"]),
        ({"epochs": 5, "early_stopping": {"patience": 2}}, ["#/epochs", "#/early_stopping/patience"]),
        ({"epochs": 30}, ["#/early_stopping/patience"]),
        ({"epochs": 5, "early_stopping": {"monitor": "val_acuracy"}}, ["#/epochs", "#/early_stopping/monitor"]),
        ({"budget": {"deadline": "2020-01-01T00:00:00Z"}, "epochs": 3}, ["#/epochs", "#/budget/deadline"]),
        ({"from": "middle", "epochs": 0, "epoch": 5}, ["#/from", "#/epochs", "#/epoch"]),
        ({"early_stopping": {"patience": 0}, "budget": {"max_cost": 0}},
         ["#/early_stopping/patience", "#/budget/max_cost"]),
    ],
)  # fmt: skip
def test_all_that_is_wrong_is_told_at_once_where_the_request_has_it(client, volume, over, body, places):
    before = volume.job_ids()
    answer = client.post(f"/jobs/{over.id}/extend", json=body)
    assert answer.status_code == 422, answer.json
    assert sorted(one["pointer"] for one in answer.json["errors"]) == sorted(places)
    assert volume.job_ids() == before


def test_a_job_that_cannot_be_gone_on_with_is_a_conflict_that_says_why(client, volume, new_job, over):
    waiting, running = new_job(), give_a_run(volume, new_job(), is_over=False)
    bare = give_a_run(volume, new_job(), points=False)
    for job, why in ((waiting, "queued"), (running, "running"), (bare, "no resume point")):
        answer = extend(client, job, epochs=99)
        assert answer.status_code == 409
        assert why in answer.json["detail"]
    shutil.rmtree(volume.dataset_folder("grades"))
    assert extend(client, over, early_stopping={"patience": 4}).json["code"] == "unknown_dataset"
    put_dataset(volume, learnable_frame(seed=2))
    assert "other data" in extend(client, over, early_stopping={"patience": 4}).json["detail"]
    assert client.post("/jobs/job_00000000000000000000000000/extend", json={}).status_code == 404


def test_without_a_model_there_is_no_best_one_to_go_on_from(client, volume, over):
    write_manifest(over.attempts()[0].manifest_file, Manifest())
    answer = extend(client, over, **{"from": "best"})
    assert [one["pointer"] for one in answer.json["errors"]] == ["#/from"]


def test_a_repeated_post_makes_one_job_also_where_the_first_was_cut_off(client, volume, over, monkeypatch):
    key = {"Idempotency-Key": "again"}
    with monkeypatch.context() as patch:
        patch.setattr("shared.job_folder.JobFolder.store", lambda *_: 1 / 0)
        assert extend(client, over, key, early_stopping={"patience": 4}).status_code == 500
    first = extend(client, over, key, early_stopping={"patience": 4})
    assert first.status_code == 202
    assert extend(client, over, key, early_stopping={"patience": 4}).json["id"] == first.json["id"]
    assert extend(client, over, key, early_stopping={"patience": 5}).status_code == 422
    assert len(volume.job_ids()) == 2


def test_where_the_volume_knows_no_links_files_are_copied_and_where_it_is_full_nothing_is_left(
    client, volume, over, monkeypatch
):
    def no_link(*_):
        raise PermissionError("no links here")

    with monkeypatch.context() as patch:
        patch.setattr("shared.inherit.create_file", no_link)
        assert extend(client, over, early_stopping={"patience": 4}).status_code >= 500
    assert [path.name for path in volume.jobs.glob("*/*")] == [over.id]
    assert not list(volume.open.iterdir())
    ours = os.link
    monkeypatch.setattr(
        os, "link", lambda a, b: no_link() if "attempts" in str(a) and "/." not in str(a) else ours(a, b)
    )
    new = volume.job(extend(client, over, early_stopping={"patience": 4}).json["id"])
    assert content(new.inherited.checkpoints) == content(over.attempts()[0].checkpoints)


def test_from_a_model_without_its_optimizer_nothing_goes_on(client, over):
    attempt = over.attempts()[0]
    kept = Checkpoint(name="m.h5", epoch=3, bytes=5, sha256="0" * 64, saved_at=utc_now(), metrics={})
    write_manifest(attempt.manifest_file, Manifest(best="m.h5", checkpoints=(kept,)))
    assert extend(client, over, **{"from": "best"}).json["errors"][0]["code"] == "no_optimizer"
