"""Whatever a worker writes into a document or an event, the API answers with a value or with a damaged record."""

import json
import shutil

import pytest

from shared.ids import new_job_id
from shared.worker_card import WorkerCard
from tests.support.finished_job import finished_job
from tests.unit.shared.records import places, replaced

JUNK = (None, -1, 2**70, "2026-99-99", {})
RAW = (b"1e999", b'"\\ud800"', b"[" * 20_000)
DOCUMENTS = ("claim.json", "end.json", "checkpoints/manifest.json", "inference.json", "../../result.json")
ROUTES = ("", "/events", "/epochs", "/checkpoints", "/model", "/bundle.zip", "/explain", "/forecast")
LISTS = ("/jobs", "/page/rows", "/usage", "/workers", "/queue", "/metrics")


@pytest.fixture
def copy_with(volume, grades):
    """Copy a finished job, with other content in one file."""
    whole = finished_job(volume)

    def make(name, content):
        job = volume.job_folder(new_job_id())
        job.path.parent.mkdir(exist_ok=True)
        shutil.copytree(whole.path, job.path)
        (job.path / "attempts" / "1" / name).write_bytes(content)
        return job

    make.text = lambda name: (whole.path / "attempts" / "1" / name).read_text()
    return make


def contents(text):
    """Yield the document with each piece of junk in each of its places."""
    document = json.loads(text)
    for place in places(document):
        for junk in JUNK:
            yield json.dumps(replaced(document, place, junk)).encode()
        for raw in RAW:
            yield json.dumps(replaced(document, place, "HERE")).encode().replace(b'"HERE"', raw)


def unforeseen(client, job, paths):
    for path in paths:
        answer = client.get(path, buffered=True)
        if answer.status_code >= 500 and answer.json["code"] == "internal_error":
            yield path, job.id


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_value_in_a_document_is_an_internal_error(client, copy_with, name):
    for content in contents(copy_with.text(name)):
        job = copy_with(name, content)
        assert list(unforeseen(client, job, (f"/jobs/{job.id}{route}" for route in ROUTES))) == [], content[:2000]
        shutil.rmtree(job.path)


def test_no_value_in_an_event_is_an_internal_error(client, copy_with):
    lines = copy_with.text("events.jsonl").splitlines(keepends=True)
    for content in contents(lines[1]):
        job = copy_with("events.jsonl", content + b"\n" + "".join(lines[2:]).encode())
        assert list(unforeseen(client, job, (f"/jobs/{job.id}{route}" for route in ROUTES))) == [], content[:2000]
        shutil.rmtree(job.path)


def test_no_value_anywhere_spoils_a_list(client, volume, copy_with):
    for name in DOCUMENTS:
        for number, content in enumerate(contents(copy_with.text(name))):
            if number % 7 == 0:
                copy_with(name, content)
    assert list(unforeseen(client, volume.job_folder("job_x"), LISTS)) == []
    assert client.get("/jobs").status_code == 200


def test_no_value_in_a_workers_card_spoils_the_list_of_workers(client, volume):
    card = WorkerCard(
        worker="w", host="h", pid=1, device="CPU", slots=1, child_start="spawn", ready=True, draining=False, running=(),
        started_at="2026-11-23T19:12:00Z", seen_at="2026-11-23T19:12:00Z",
    )  # fmt: skip
    for number, content in enumerate(contents(card.model_dump_json())):
        (volume.workers / f"w{number}.json").write_bytes(content)
    assert client.get("/workers").status_code == 200
    assert client.get("/queue").status_code == 200
