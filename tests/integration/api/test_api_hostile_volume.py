"""Write access to the volume cannot be used to read the API's machine, to block a thread or to make a key.

Each file that the API reads is replaced, in its own job, by a link, a FIFO, a folder, a device, a file of a terabyte
and nonsense. Every route that reads the file is then requested over a real server.
"""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from api.state.key_store import KeyStore
from shared.ids import new_job_id
from shared.job_folder import JobFolder
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.finished_job import MODEL, finished_job
from tests.support.jobs import learnable_frame, put_dataset

SECRET = "the-secret-of-the-host"
MOST_SECONDS = 60
OF_ATTEMPT = (
    "claim.json",
    "end.json",
    "events.jsonl",
    "training_log.csv",
    "checkpoints",
    "checkpoints/manifest.json",
    "checkpoints/model-01.keras",
    "preprocessing.skops",
    "inference.json",
    "prepare.py",
    "schema.json",
)
OF_JOB = (
    "spec.json",
    "result.json",
    "plan.json",
    "cancel.json",
    "attempts",
    *(f"attempts/1/{one}" for one in OF_ATTEMPT),
)
ROUTES = (
    "",
    "/events",
    "/epochs",
    "/training_log.csv",
    "/checkpoints",
    "/checkpoints/model-01.keras",
    "/model",
    "/bundle.zip",
    "/explain",
    "/forecast",
)
LISTS = (
    "/jobs",
    "/jobs?status=queued",
    "/page/rows",
    "/usage",
    "/queue",
    "/workers",
    "/datasets",
    "/metrics",
)


@pytest.fixture(scope="module")
def served(redis_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    api = ApiProcess(Volume(folder / "volume"), redis_server.url, folder / "api.log")
    api.start()
    put_dataset(api.volume, learnable_frame())
    yield api
    api.stop()


@pytest.fixture(scope="module")
def outside(served, tmp_path_factory):
    """Files on the API's machine outside the volume: a whole job, with a secret in its training log and model."""
    job = finished_job(served.volume)
    folder = tmp_path_factory.mktemp("host") / "job"
    shutil.copytree(job.path, folder)
    for name in ("training_log.csv", "preprocessing.skops", "prepare.py", "schema.json"):
        (folder / "attempts" / "1" / name).write_text(f"a,b\n{SECRET},1\n")
    (folder / "attempts/1/checkpoints/model-01.keras").write_bytes(SECRET.encode().ljust(len(MODEL)))
    events = folder / "attempts/1/events.jsonl"
    events.write_text(events.read_text().replace("epoch 1", SECRET))
    return folder


def link(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def fifo(path: Path, _: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, _: Path) -> None:
    path.mkdir()


def device(path: Path, _: Path) -> None:
    os.mknod(path, 0o20666, os.makedev(1, 5))


def terabyte(path: Path, _: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


def nonsense(path: Path, _: Path) -> None:
    path.write_bytes(b'{"format": 1, "a": ' + b"[" * 50_000 + b"\xff\n" * 9)


PLANTS = [link, fifo, folder, terabyte, nonsense, *([device] if os.getuid() == 0 else [])]


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", OF_JOB)
def test_no_file_of_a_job_is_more_than_a_file_of_the_job(served, outside, name, plant):
    job = job_with(served.volume, name, plant, outside / name)
    for route in ROUTES:
        check(served, f"/jobs/{job.id}{route}")
    check(served, f"/jobs/{job.id}/replay", "POST", {"patience": 2})
    check(served, f"/jobs/{job.id}/extend", "POST", {"epochs": 50})
    assert check(served, "/jobs").status == 200


def job_with(volume, name, plant, outside):
    """Copy a finished job and put the plant in the place of one file."""
    whole, job_id = finished_job(volume), new_job_id()
    job = volume.job_folder(job_id)
    job.path.parent.mkdir(exist_ok=True)
    shutil.copytree(whole.path, job.path)
    target = job.path / name
    shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    plant(target, outside)
    return JobFolder(job.path)


def check(api, path, method="GET", body=None):
    began = time.monotonic()
    answer = api.ask(method, path, body)
    assert time.monotonic() - began < MOST_SECONDS, path
    assert SECRET.encode() not in answer.body, path
    assert len(answer.body) < 10_000_000, path
    if answer.status >= 500:
        assert answer.json["code"] in {"damaged_record", "damaged_checkpoint"}, (path, answer.body)
    return answer


def test_links_and_fifos_in_the_volumes_own_folders_spoil_no_list(served, outside):
    volume = served.volume
    (volume.jobs / "linked").symlink_to(outside)
    (volume.jobs / "file").write_text("no folder")
    os.mkfifo(volume.jobs / "fifo")
    os.mkfifo(volume.open / f"5-{new_job_id()}")
    os.mkfifo(volume.workers / "w.json")
    (volume.workers / "x.json").symlink_to(outside / "spec.json")
    for name, plant in (("linked", link), ("piped", fifo), ("long", terabyte), ("strange", nonsense)):
        (volume.datasets / name).mkdir()
        plant(volume.datasets / name / "dataset.json", volume.datasets / "grades" / "dataset.json")
        check(served, f"/datasets/{name}")
    for path in LISTS:
        assert check(served, path).status == 200, path


@pytest.mark.parametrize("plant", [link, fifo, terabyte, nonsense])
def test_the_rows_of_a_dataset_are_read_from_its_own_file_alone(served, outside, plant):
    name = f"rows-{plant.__name__}"
    put_dataset(served.volume, learnable_frame(), name)
    data = served.volume.data_file(name)
    data.rename(outside / f"{name}.parquet")
    plant(data, outside / f"{name}.parquet")
    spec = {"dataset": {"id": name, "target": "kind", "missing": "drop_rows"}}
    assert check(served, "/jobs?dry_run=true", "POST", spec).status >= 400


@pytest.mark.parametrize("name", ["../../../../outside", "/etc/passwd", "a/b", "..", ".", "a\nb", "x" * 300])
def test_a_manifest_names_files_of_its_own_folder_alone(served, name):
    job = finished_job(served.volume)
    manifest = job.attempts()[0].manifest_file
    document = json.loads(manifest.read_text())
    document["checkpoints"][0]["name"] = document["best"] = name
    manifest.write_text(json.dumps(document))
    for route in ("/model", "/checkpoints", "/bundle.zip"):
        assert check(served, f"/jobs/{job.id}{route}").json["code"] == "damaged_record"


def test_a_planted_key_opens_nothing(served):
    _, key = KeyStore(served.volume.root).create("planted", "admin")
    assert served.ask("GET", "/jobs", Authorization=f"Bearer {key}").status == 401
