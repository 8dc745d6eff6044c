"""A user's workflow with a volume in a bucket: an API over HTTP, and a worker that shares nothing else with it."""

import hashlib
import io
import shutil
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.api_process import ApiProcess
from tests.support.bucket import KEYS, Server, access_to, running_server
from tests.support.redis import free_port
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess

SPEC = {
    "dataset": {"id": "rows", "target": "y"},
    # A model of more than 1 MiB: a look leaves it in the bucket until it is needed.
    "model": {"kind": "dense", "layers": [640, 512]},
    "hyperparameters": {"epochs": 2, "batch_size": 64},
}


def test_a_service_waits_for_a_bucket_that_does_not_answer_and_says_so(tmp_path):
    port = free_port()
    volume = SimpleNamespace(root="s3://late/volume")
    with access_to(Server(f"http://127.0.0.1:{port}")):
        api = ApiProcess(volume, "none", tmp_path / "api.log", FITSTOP_DATA=str(tmp_path / "api"))
        worker = WorkerProcess(volume, "none", tmp_path / "worker.log", FITSTOP_DATA=str(tmp_path / "worker"))
        try:
            worker.begin()
            api.start()
            assert api.ask("GET", "/readyz").status == 503
            refused = api.ask("POST", "/jobs", SPEC)
            assert (refused.status, refused.json["code"]) == (503, "volume_unavailable")
            assert refused.headers["Retry-After"]
            wait_for(lambda: "waiting until it answers" in worker.log.read_text())
            with running_server(port) as server:
                server.make_bucket("late")
                wait_for(lambda: answers_with_jobs(api), 60, every=0.2, saying="the API serves")
                wait_for(lambda: "warming up" in worker.log.read_text(), 60, saying="the worker starts")
        finally:
            worker.stop()
            api.kill()
    for log in (api.log, worker.log):
        assert log.read_text().count("waiting until it answers") == 1
        assert "Traceback" not in log.read_text()


@pytest.fixture
def server():
    with running_server() as server, access_to(server):
        yield server


def rows() -> bytes:
    x = np.random.default_rng(8).normal(size=(256, 4))
    lines = [",".join([*(f"{one:.4f}" for one in row), str(int(row.sum() > 0))]) for row in x]
    return "\n".join(["a,b,c,d,y", *lines]).encode()


def test_a_job_of_a_bucket_is_trained_elsewhere_and_outlives_the_folders_of_both(tmp_path, server):
    bucket = server.make_bucket()
    volume = SimpleNamespace(root=f"s3://{bucket}/volume")
    quick = {"FITSTOP_BUCKET_SECONDS": "0.3"}
    api = ApiProcess(
        volume, "none", tmp_path / "api.log", FITSTOP_DATA=str(tmp_path / "api"), FITSTOP_API_PROCESSES="2", **quick
    )
    worker = WorkerProcess(volume, "none", tmp_path / "worker.log", FITSTOP_DATA=str(tmp_path / "worker"), **quick)
    try:
        worker.begin()
        api.start()
        assert api.ask("PUT", "/datasets/rows", rows(), **{"Content-Type": "text/csv"}).status == 201
        posted = api.ask("POST", "/jobs", SPEC)
        assert posted.status == 202, posted.body
        job = f"/jobs/{posted.json['id']}"
        wait_for(lambda: api.ask("GET", job).json["status"] == "succeeded", 120, every=0.2, saying="the job succeeds")
        model = best_model(api, job)

        api.kill()
        worker.stop()
        shutil.rmtree(tmp_path / "api" / "buckets")
        shutil.rmtree(tmp_path / "worker")
        api.start()
        assert best_model(api, job) == model
        with zipfile.ZipFile(io.BytesIO(api.ask("GET", f"{job}/bundle.zip").body)) as bundle:
            name = next(name for name in bundle.namelist() if name.endswith("model.keras"))
            assert bundle.read(name) == model

        assert api.ask("DELETE", job).status == 204
        assert api.ask("DELETE", "/datasets/rows").status == 204
        left = [entry.name for entry in server.store(bucket, "volume").list()]
        assert not [name for name in left if name.startswith(("jobs/", "datasets/", "open/"))]
    finally:
        worker.stop()
        api.kill()
    for log in (api.log, worker.log):
        assert KEYS["AWS_SECRET_ACCESS_KEY"] not in log.read_text()


def answers_with_jobs(api: ApiProcess) -> bool:
    try:
        return api.ask("GET", "/jobs").status == 200
    except OSError:
        # Nothing listens between the stand-in and the API.
        return False


def best_model(api: ApiProcess, job: str) -> bytes:
    best = next(one for one in api.ask("GET", f"{job}/checkpoints").json["data"] if one["is_best"])
    model = api.ask("GET", f"{job}/model").body
    assert (len(model), hashlib.sha256(model).hexdigest()) == (best["bytes"], best["sha256"])
    assert len(model) > 1024**2
    return model


def test_a_bucket_that_cannot_hold_a_volume_ends_api_and_worker_with_the_reason(tmp_path, server):
    server.ignores_conditions = True
    volume = SimpleNamespace(root=f"s3://{server.make_bucket()}/volume")
    here = {"FITSTOP_DATA": str(tmp_path)}
    processes = {
        ("api", 1): ApiProcess(volume, "none", tmp_path / "api.log", **here),
        ("worker", 2): WorkerProcess(volume, "none", tmp_path / "worker.log", **here),
    }
    for process in processes.values():
        process.begin()
    for (name, status), process in processes.items():
        assert process.wait(60) == status
        said = process.log.read_text()
        assert f"{volume.root} ignores If-None-Match" in said, name
        assert "Traceback" not in said
