"""POST /jobs with `model.kind` "job": what it takes from the earlier job, refusals, and what it keeps."""

import io
import json
import zipfile

import pytest

from api.jobs import earlier as posting
from shared.earlier_model import EarlierModel
from shared.job import Ending
from shared.manifest import read_manifest, write_manifest
from shared.open_job import OpenJob
from tests.support.earlier import CHECKPOINT, put_earlier_job
from tests.support.extending import content
from tests.support.finished_job import finished_job
from tests.support.jobs import claim, learnable_frame, put_dataset, put_images, put_job, small_spec
from tests.support.keras_configs import a_layer, a_model, an_object
from tests.support.kinds import digit_images
from tests.support.kinds import put_images as put_digits
from tests.support.two_projects import two_projects

UNKNOWN = "job_01JZZZZZZZZZZZZZZZZZZZZZZZ"
INPUTS = [("kind", "text", "one_hot"), ("a", "float", "number"), ("b", "float", "number"), ("c", "float", "number")]
TABLE = {"target": "grade", "positive": None}


def archive(config):
    """Return a `.keras` file with this configuration; no test here reads its weights."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("config.json", json.dumps(config))
        file.writestr("model.weights.h5", b"weights")
    return packed.getvalue()


def dense(units=6, features=4, *after):
    """Return the configuration of a dense network on a table, with the layers `after` its head."""
    layers = [a_layer("Dense", units=8, name="hidden"), a_layer("Dense", units=units, name="output"), *after]
    return a_model(*layers, shape=(None, features))


def schema(inputs=INPUTS):
    return json.dumps({"inputs": [dict(zip(("name", "kind", "encoding"), one, strict=True)) for one in inputs]})


def on_table(volume, config=None, *, files=None, project="default", **dataset):
    beside = {"schema.json": schema().encode(), "preprocessing.skops": b"steps"} if files is None else files
    spec = small_spec(name="before", dataset={**TABLE, **dataset})
    return put_earlier_job(volume, spec, archive(config or dense()), project=project, files=beside)


def from_job(job, **parts):
    return {"dataset": {"id": "grades", "target": "grade"}, "model": {"kind": "job", "job": job.id}, **parts}


def refusals(client, spec, status=422):
    answer = client.post("/jobs?dry_run=true", json=spec)
    assert answer.status_code == status, answer.json
    return {one["pointer"]: one["detail"] for one in answer.json["errors"]}


def test_a_job_starts_from_another_ones_best_model_and_keeps_it_when_that_is_deleted(client, volume, grades):
    before = on_table(volume, scaling="robust", missing="impute")
    features = before.record().task.features
    answer = client.post("/jobs", json=from_job(before))
    assert answer.status_code == 202, answer.json
    job = volume.job(answer.json["id"])
    kept = content(job.path / "earlier")
    sha256 = read_manifest(before.attempts()[0].manifest_file).checkpoints[0].sha256
    assert set(kept) == {"spec.json", f"{sha256}.keras", "schema.json", "preprocessing.skops"}
    dataset = answer.json["spec"]["dataset"]
    assert (dataset["scaling"], dataset["missing"], dataset["drop_columns"]) == ("robust", "impute", [])
    assert client.delete(f"/jobs/{before.id}").status_code == 204
    assert content(job.path / "earlier") == kept
    shown = client.get(f"/jobs/{job.id}").json
    expected = {"job": before.id, "name": "before", "checkpoint": CHECKPOINT, "sha256": sha256, "epoch": 2}
    assert shown["lineage"] == [expected]
    assert (shown["task"]["features"], shown["task"]["parameters"]) == (features, None)


def test_the_kind_follows_from_the_field_job(client, volume, grades):
    spec = from_job(on_table(volume))
    del spec["model"]["kind"]
    assert client.post("/jobs?dry_run=true", json=spec).json["spec"]["model"]["kind"] == "job"


def test_a_dry_run_keeps_nothing(client, volume, grades):
    spec = from_job(on_table(volume))
    before = content(volume.root)
    assert client.post("/jobs?dry_run=true", json=spec).status_code == 200
    assert content(volume.root) == before


def test_a_repeated_post_is_one_job(client, volume, grades):
    spec, key = from_job(on_table(volume)), {"Idempotency-Key": "once"}
    first, second = (client.post("/jobs", json=spec, headers=key).json["id"] for _ in range(2))
    assert first == second


def test_columns_that_the_model_never_read_are_dropped_with_a_warning(client, volume, grades):
    frame = learnable_frame().assign(more=1.5, others="x")
    put_dataset(volume, frame, "wider")
    spec = from_job(on_table(volume), dataset={"id": "wider", "target": "grade"})
    answer = client.post("/jobs?dry_run=true", json=spec).json
    assert answer["spec"]["dataset"]["drop_columns"] == ["more", "others"]
    assert 'the earlier model was not trained on "more", "others": they are dropped' in answer["warnings"]
    given = {**spec, "dataset": {**spec["dataset"], "drop_columns": ["more"]}}
    assert 'its model was not trained on "others"; add them' in refusals(client, given)["#/dataset/drop_columns"]


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        (
            {"scaling": "minmax"},
            "#/dataset/scaling",
            'received "minmax"; the earlier model was trained with "standard"',
        ),
        ({"missing": "impute"}, "#/dataset/missing", 'trained with "drop"'),
        ({"drop_columns": ["a"]}, "#/model/job", 'trained on the column "a", which drop_columns names'),
        ({"target": "b"}, "#/model/job", 'trained on the column "b", which is now the target'),
        ({"categorical": ["a"]}, "#/model/job", 'the column "a", encoded as number; that of the data would be one_hot'),
    ],
)
def test_another_preprocessing_is_refused(client, volume, grades, change, pointer, words):
    spec = from_job(on_table(volume))
    assert words in refusals(client, {**spec, "dataset": {**spec["dataset"], **change}})[pointer]


def test_columns_that_are_missing_or_hold_something_else_are_all_named(client, volume, grades):
    put_dataset(volume, learnable_frame().drop(columns="a").assign(b="x"), "narrow")
    spec = from_job(on_table(volume), dataset={"id": "narrow", "target": "grade"})
    answer = client.post("/jobs", json=spec).json
    details = [one["detail"] for one in answer["errors"] if one["pointer"] == "#/model/job"]
    assert any('"a", which the data does not have' in one for one in details)
    assert any('"b", which held float; that of the data holds text' in one for one in details)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda volume: put_job(volume, small_spec()), "it has saved no model; wait for its first checkpoint"),
        (finished_job, "its best model cannot be read"),
        (lambda volume: on_table(volume, files={}), "kept no schema of its columns; retry it first"),
        (lambda volume: on_table(volume, a_model(an_object("os", "system"))), "names the class os.system"),
        (lambda volume: on_table(volume, {"class_name": "Mine"}), "received the class Mine"),
        (
            lambda volume: on_table(volume, dense(features=9)),
            "its input takes rows of shape (9,); those of the data have (4,)",
        ),
    ],
)
def test_a_job_that_nothing_can_start_from_is_refused_with_the_reason(client, volume, grades, make, words):
    assert words in refusals(client, from_job(make(volume)))["#/model/job"]


def test_a_model_of_another_format_is_refused(client, volume, grades):
    before = on_table(volume)
    attempt = before.attempts()[0]
    manifest = read_manifest(attempt.manifest_file)
    renamed = manifest.checkpoints[0].model_copy(update={"name": "model-02.h5"})
    write_manifest(
        attempt.manifest_file, manifest.model_copy(update={"best": "model-02.h5", "checkpoints": (renamed,)})
    )
    assert "model-02.h5 is not a .keras file" in refusals(client, from_job(before))["#/model/job"]


@pytest.mark.parametrize("job", [UNKNOWN, "job_1", "../../etc", "", 5])
def test_an_unknown_job_is_refused_with_everything_else(client, volume, grades, job):
    spec = {**from_job(on_table(volume)), "hyperparameters": {"epochs": 0}, "model": {"kind": "job", "job": job}}
    found = refusals(client, spec)
    assert set(found) == {"#/model/job", "#/hyperparameters/epochs"}
    if job == UNKNOWN:
        assert found["#/model/job"] == f'received "{UNKNOWN}"; there is no job with this id'


def test_a_job_of_another_project_is_an_unknown_one(app):
    world = two_projects(app)
    spec, client = {**world.things["red"].spec}, world.clients["red", "write"]
    for job in (world.things["blue"].finished, UNKNOWN):
        found = refusals(client, {**spec, "model": {"kind": "job", "job": job}})
        assert found["#/model/job"] == f'received "{job}"; there is no job with this id'


# Heads


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (a_model(a_layer("Conv1D", filters=6, name="last"), shape=(None, 4)), 'the layer "last" (Conv1D)'),
        (a_model(dense(), shape=(None, 4)), "Sequential"),
    ],
)
def test_a_model_without_a_head_is_taken_for_the_same_classes_alone(client, volume, grades, config, words):
    before = on_table(volume, config)
    assert client.post("/jobs?dry_run=true", json=from_job(before)).status_code == 200
    other = from_job(before, dataset={"id": "grades", "target": "grade", "positive": {"at_least": 3}})
    detail = refusals(client, other)["#/model/job"]
    assert "so it needs a new head" in detail
    assert words in detail


def test_logits_are_those_of_the_head_that_is_trained(client, volume, grades):
    before = on_table(volume)
    record = before.record()
    loss = {"name": "sparse_categorical_crossentropy", "from_logits": True}
    told = json.loads(before.spec_file.read_text())
    told["spec"]["hyperparameters"]["loss"] = loss
    before.spec_file.write_text(json.dumps(told))
    kept = refusals(client, from_job(before))["#/hyperparameters/loss"]
    assert 'is kept, which was trained with "from_logits": true; give the same' in kept
    assert client.post("/jobs?dry_run=true", json=from_job(before, hyperparameters={"loss": loss})).status_code == 200
    other = from_job(before, dataset={"id": "grades", "target": "grade", "positive": {"at_least": 3}})
    wrong = {**other, "hyperparameters": {"loss": {"name": "binary_crossentropy", "from_logits": True}}}
    assert "the new head gives probabilities" in refusals(client, wrong)["#/hyperparameters/loss"]
    assert record.task.kind == "multiclass"


# Images and arrays


def test_size_and_channels_are_those_that_the_model_takes(client, volume):
    put_digits(volume, digit_images(60))
    put_images(volume, "pictures")
    layers = [
        a_layer("Conv2D", filters=2, kernel_size=3),
        a_layer("GlobalAveragePooling2D"),
        a_layer("Dense", units=10),
    ]
    config = a_model(*layers, shape=(None, 24, 20, 1))
    spec = {
        "dataset": {"kind": "images", "id": "digits", "size": [24, 20], "resize": "pad"},
        "model": {"kind": "cnn", "filters": [2]},
    }
    before = put_earlier_job(volume, spec, archive(config))
    asked = {"dataset": {"id": "digits"}, "model": {"kind": "job", "job": before.id}}
    dataset = client.post("/jobs?dry_run=true", json=asked).json["spec"]["dataset"]
    assert (dataset["size"], dataset["channels"], dataset["resize"]) == ([24, 20], 1, "pad")
    other = {**asked, "dataset": {"id": "digits", "size": [32, 32], "channels": 3}}
    detail = refusals(client, other)["#/model/job"]
    assert "its input takes rows of shape (24, 20, 1); those of the data have (32, 32, 3)" in detail
    put_dataset(volume, learnable_frame())
    assert "a model of a table is trained on tables only" in refusals(client, from_job(before))["#/model/job"]


# Afterwards


def cancelled(volume, job):
    job.settle(Ending(status="cancelled"), None)
    volume.close_job(OpenJob(5, job.id))


def test_a_retry_starts_from_the_same_model_though_the_earlier_job_is_gone(client, volume, grades):
    before = on_table(volume)
    first = volume.job(client.post("/jobs", json=from_job(before)).json["id"])
    cancelled(volume, first)
    assert volume.remove_job(OpenJob(5, before.id))
    answer = client.post(f"/jobs/{first.id}/retry")
    assert answer.status_code == 202, answer.json
    second = volume.job(answer.json["id"])
    assert second.record().lineage == first.record().lineage
    assert content(second.path / "earlier") == content(first.path / "earlier")
    assert volume.remove_job(OpenJob(5, first.id))
    assert content(second.path / "earlier")


def test_a_model_that_is_replaced_between_judgement_and_copy_is_noticed(client, volume, grades, monkeypatch):
    before = put_job(volume, small_spec(dataset=TABLE))
    done = on_table(volume)
    attempt = claim(before)
    for name, one in content(done.attempts()[0].path).items():
        (attempt.path / name).parent.mkdir(exist_ok=True)
        (attempt.path / name).write_bytes(one)
    real = posting.keep

    def replaced_first(model: EarlierModel, *arguments, **options):
        model.file.write_bytes(b"another model")
        return real(model, *arguments, **options)

    monkeypatch.setattr(posting, "keep", replaced_first)
    spec, jobs = from_job(before), volume.job_ids()
    answer = client.post("/jobs", json=spec)
    assert answer.status_code == 409
    assert "has saved a better model in the meantime" in answer.json["detail"]
    assert volume.job_ids() == jobs
    assert {one.name for shard in volume.jobs.iterdir() for one in shard.iterdir()} == set(jobs)
