"""PUT /models/{id}: uploaded weights, what the API shows of them, and the jobs that start from them."""

import errno
import hashlib
import io
import subprocess
import zipfile

import pytest

from api import create_app
from api.models.unpack import ENTRY
from shared.job import Ending
from shared.open_job import OpenJob
from tests.support.jobs import put_job, small_spec
from tests.support.keys import authorized
from tests.support.two_projects import two_projects
from tests.support.weights import HDF5, put_weights

INPUT = {"class_name": "InputLayer", "module": "keras.layers", "config": {"name": "x", "batch_shape": [None, None]}}
CONFIG = {"class_name": "Sequential", "module": "keras", "config": {"layers": [INPUT]}}


def keras_file(content=HDF5, name=ENTRY):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr(name, content)
    return packed.getvalue()


def test_what_unpacks_an_archive_gets_no_secret(client, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("FITSTOP_ADMIN_KEY", "secret")
    given, run = [], subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *command, **how: given.append(how["env"]) or run(*command, **how))
    assert client.put("/models/x", data=keras_file()).status_code == 201
    assert "PATH" in given[0]
    assert "secret" not in given[0].values()


def keras_spec(**model):
    return small_spec(model={"kind": "keras", "config": CONFIG, **model})


@pytest.fixture
def keras_job(client, grades):
    """Post a job with a Keras model and return the answer."""

    def post(**model):
        spec = keras_spec(**model)
        del spec["model"]["layers"]
        return client.post("/jobs", json=spec)

    return post


@pytest.mark.both_stores
def test_a_file_of_weights_is_kept_as_it_is_and_the_same_bytes_change_nothing(client, volume):
    first = client.put("/models/first?name=model.weights.h5", data=HDF5)
    assert (first.status_code, first.headers["Location"]) == (201, "/models/first")
    digest = hashlib.sha256(HDF5).hexdigest()
    shown = first.json
    assert (shown["sha256"], shown["data_sha256"], shown["bytes"]) == (digest, digest, len(HDF5))
    assert (shown["source_name"], shown["source_format"]) == ("model.weights.h5", "h5")
    again = client.put("/models/first", data=HDF5)
    assert (again.status_code, again.json) == (200, shown)
    assert client.get("/models/first").json == shown
    assert client.get("/models").json["data"] == [shown]
    assert (volume.weights.place("first") / "weights.h5").read_bytes() == HDF5
    assert list(volume.datasets.iterdir()) == []


@pytest.mark.both_stores
def test_other_bytes_under_the_same_id_are_a_conflict(client, volume):
    client.put("/models/first", data=HDF5)
    other = client.put("/models/first", data=HDF5 + b"more")
    assert (other.status_code, other.json["detail"]) == (
        409, 'the model "first" has other weights; choose another id',
    )  # fmt: skip
    assert (volume.weights.place("first") / "weights.h5").read_bytes() == HDF5


def test_of_a_keras_file_the_weights_alone_are_kept(client, volume):
    file = keras_file()  # each file holds the second of its creation
    shown = client.put("/models/second", data=file).json
    assert (shown["source_format"], shown["data_sha256"]) == ("keras", hashlib.sha256(HDF5).hexdigest())
    assert shown["sha256"] == hashlib.sha256(file).hexdigest()
    assert sorted(one.name for one in volume.weights.place("second").iterdir()) == ["model.json", "weights.h5"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"not weights", "the body is not an HDF5 file"),
        (b"", "the body is not an HDF5 file"),
        (keras_file(b"a pickle"), "the weights in the archive are not an HDF5 file"),
        (keras_file(name="../model.weights.h5"), f"the archive holds no {ENTRY}"),
        (keras_file()[:-40], "the archive is damaged"),
    ],
    ids=["text", "empty", "archive of a pickle", "another name", "cut short"],
)
def test_what_is_no_file_of_weights_is_refused_and_leaves_nothing(client, volume, content, says):
    answer = client.put("/models/bad", data=content)
    assert answer.status_code == 422
    assert says in answer.json["errors"][0]["detail"]
    assert not volume.weights.folder.exists()
    assert list(volume.datasets.iterdir()) == []


def test_an_archive_that_takes_too_long_is_refused(settings):
    hasty = authorized(create_app(settings.model_copy(update={"ingest_timeout_seconds": 0.01})))
    answer = hasty.put("/models/x", data=keras_file())
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (422, "too_heavy")


def test_a_volume_that_is_full_while_an_archive_is_unpacked_is_named(client, monkeypatch):
    monkeypatch.setattr("api.state.parser._run", lambda *_given: {"errno": errno.ENOSPC})
    answer = client.put("/models/x", data=keras_file())
    assert (answer.status_code, answer.json["code"]) == (507, "volume_full")


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"max_model_bytes": 100_000})


def test_the_limit_is_the_one_that_limits_shows(client):
    assert client.get("/limits").json["model"] == {"bytes": 100_000}
    assert client.put("/models/large", data=HDF5 + bytes(100_000)).status_code == 413
    # Compressed it is small enough to be accepted.
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(ENTRY, HDF5 + bytes(10**6))
    bomb = client.put("/models/bomb", data=packed.getvalue())
    assert (bomb.status_code, "expected at most 100000" in bomb.json["errors"][0]["detail"]) == (422, True)


@pytest.mark.parametrize("name", [".hidden", "A", "a" * 65])
def test_an_id_is_one_of_those_of_datasets(client, name):
    answer = client.put(f"/models/{name}", data=HDF5)
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "#/id")


@pytest.mark.both_stores
def test_a_job_names_weights_that_are_there_and_keeps_their_hash(client, keras_job, volume):
    put_weights(volume)
    answer = keras_job(weights="first")
    assert answer.status_code == 202, answer.json
    record = volume.job(answer.json["id"]).record()
    assert (record.spec.model.weights, record.weights_sha256) == ("first", hashlib.sha256(HDF5).hexdigest())


def test_weights_that_are_not_there_are_named_among_the_other_problems(client, keras_job):
    alone = keras_job(weights="nowhere")
    assert alone.status_code == 422
    assert [one["pointer"] for one in alone.json["errors"]] == ["#/model/weights"]
    assert "upload them first (PUT /models/nowhere)" in alone.json["errors"][0]["detail"]
    both = keras_job(weights="nowhere", config={**CONFIG, "class_name": "Mine"})
    assert {one["pointer"] for one in both.json["errors"]} == {"#/model/config", "#/model/weights"}


@pytest.mark.both_stores
def test_weights_of_an_unfinished_job_are_not_deleted_and_those_of_a_finished_one_are(client, keras_job, volume):
    put_weights(volume)
    job_id = keras_job(weights="first").json["id"]
    refused = client.delete("/models/first")
    assert (refused.status_code, job_id in refused.json["detail"]) == (409, True)
    volume.job(job_id).settle(Ending(status="cancelled"), None)
    volume.close_job(OpenJob(5, job_id))
    assert client.delete("/models/first").status_code == 204
    assert client.get("/models/first").status_code == 404
    retried = client.post(f"/jobs/{job_id}/retry")
    assert [one["pointer"] for one in retried.json["errors"]] == ["#/model/weights"]


@pytest.mark.both_stores
def test_a_retry_with_other_weights_under_the_same_id_is_a_conflict(client, keras_job, volume):
    put_weights(volume)
    job_id = keras_job(weights="first").json["id"]
    volume.job(job_id).settle(Ending(status="cancelled"), None)
    volume.close_job(OpenJob(5, job_id))
    volume.remove_weights("first")
    put_weights(volume, content=HDF5 + b"other")
    assert client.post(f"/jobs/{job_id}/retry").status_code == 409


def test_a_job_of_another_project_cannot_start_from_the_weights(app, volume):
    world = two_projects(app)
    client, own = world.clients["red", "write"], world.things["red"]
    spec = {**own.spec, "model": {"kind": "keras", "config": CONFIG}}
    for weights, status in ((own.weights, 202), (world.things["blue"].weights, 422)):
        spec["model"]["weights"] = weights
        assert client.post("/jobs", json=spec).status_code == status
    taken = client.put(f"/models/{world.things['blue'].weights}", data=HDF5)
    assert (taken.status_code, "taken by another project" in taken.json["detail"]) == (409, True)


def test_the_bytes_of_weights_count_for_their_project(app, volume):
    from api.state.service import Service

    usage = Service.of(app).usage
    usage.forget("red")
    before = usage.bytes("red")
    put_weights(volume, "large", HDF5 + bytes(50_000), "red")
    usage.forget("red")
    assert usage.bytes("red") - before > 50_000


def test_a_job_without_its_weights_lacks_its_files(volume, grades):
    spec = keras_spec(weights="first")
    del spec["model"]["layers"]
    job = put_job(volume, spec)
    assert not volume.has_files(job.record())
    put_weights(volume)
    assert volume.has_files(job.record())
