"""retry, rm, queue, bundle, datasets rm and submit --dry-run against the canned service."""

import io
import json
import zipfile
from base64 import b64encode
from hashlib import sha256

import pytest

PROBLEM = {"title": "Conflict", "status": 409, "detail": "the job is running; cancel it first", "code": "conflict"}


@pytest.fixture
def jobs(canned, make_job, make_page):
    found = [make_job(2, "failed"), make_job(1)]
    canned.on("GET", "/jobs", make_page(*found))
    for one in found:
        canned.on("GET", f"/jobs/{one['id']}", one)
    return found


def test_retry_prints_the_new_jobs_id_and_its_warnings(fitstop, canned, jobs, make_job):
    canned.on("POST", f"/jobs/{jobs[0]['id']}/retry", make_job(3, "queued", warnings=["batch_size is cut"]), 202)
    result = fitstop("retry", jobs[0]["id"])
    assert (result.exit_code, result.stdout.split()) == (0, [make_job(3)["id"]])
    assert "batch_size is cut" in result.stderr


def test_extend_posts_what_the_options_change_once_and_prints_the_new_jobs_id(fitstop, canned, jobs, make_job):
    path = f"/jobs/{jobs[0]['id']}/extend"
    canned.on("POST", path, make_job(3, "queued"), 202)
    options = ("--patience", 20, "--epochs", 2000, "--max-gpu-seconds", 600, "--deadline", "2030-01-31T06:00:00Z")
    result = fitstop("extend", jobs[0]["id"], *options)
    assert (result.exit_code, result.stdout.split()) == (0, [make_job(3)["id"]])
    assert json.loads(canned.asked[-1].body) == {
        "from": "last", "epochs": 2000, "early_stopping": {"patience": 20},
        "budget": {"max_gpu_seconds": 600, "deadline": "2030-01-31T06:00:00Z"},
    }  # fmt: skip
    assert canned.asked[-1].headers["Idempotency-Key"]
    fitstop("extend", jobs[0]["id"], "--from", "best", "--no-budget")
    assert json.loads(canned.asked[-1].body) == {"from": "best", "budget": None}
    assert fitstop("extend", jobs[0]["id"], "--no-budget", "--max-cost", 2).exit_code == 2
    canned.problem("POST", path, 409, title="Conflict", detail="the job is running", code="conflict")
    refused = fitstop("extend", jobs[0]["id"])
    assert (refused.exit_code, "the job is running" in refused.stderr) == (6, True)


def test_rm_removes_each_job_and_tells_the_worst(fitstop, canned, jobs):
    canned.on("DELETE", f"/jobs/{jobs[0]['id']}", b"", 204)
    canned.on("DELETE", f"/jobs/{jobs[1]['id']}", PROBLEM, 409)
    result = fitstop("rm", jobs[1]["id"], jobs[0]["id"])
    assert result.exit_code == 6
    assert f"{jobs[0]['id']}: deleted" in result.stderr
    assert "cancel it first" in result.stderr


def test_a_dataset_is_removed_by_its_id(fitstop, canned, jobs):
    canned.on("DELETE", "/datasets/wine", b"", 204)
    assert fitstop("datasets", "rm", "wine").exit_code == 0
    assert canned.asked[-1].method == "DELETE"


def test_the_queue_says_why_each_job_waits(fitstop, canned, make_job, make_page):
    waits = {"reason": "no_worker", "detail": "no worker is available", "ahead": 0, "until": None}
    job = make_job(1, "queued")
    one = {
        "id": job["id"],
        "name": "wine",
        "priority": 5,
        "position": 1,
        "created_at": job["created_at"],
        "waits": waits,
    }
    canned.on("GET", "/queue", make_page(one))
    result = fitstop("queue")
    assert (result.exit_code, "no worker is available" in result.stdout) == (0, True)
    assert json.loads(fitstop("queue", "-o", "json").stdout)["data"] == [one]
    canned.on("GET", "/queue", make_page())
    assert (fitstop("queue").stdout, "No jobs are waiting" in fitstop("queue").stderr) == ("", True)


def test_a_dry_run_prints_what_would_run_and_posts_nothing(fitstop, canned):
    canned.on("POST", "/jobs", {"object": "dry_run", "warnings": [], "task": {"parameters": 49}, "spec": {}})
    result = fitstop("submit", "--set", "dataset.id=d", "--dry-run")
    assert (result.exit_code, json.loads(result.stdout)["task"]["parameters"]) == (0, 49)
    assert [one.query for one in canned.asked] == [{"dry_run": "true"}]


def archive():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("predict.py", "print()")
    return packed.getvalue()


def digest(content):
    return f"sha-256=:{b64encode(sha256(content).digest()).decode()}:"


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", {}),
        (b"no zip", {}),
        (archive()[:-1], {}),
        (archive(), {"Content-Length": str(len(archive()) + 1), "Connection": "close"}),
        (archive(), {"Repr-Digest": digest(b"other bytes")}),
    ],
    ids=["empty", "no zip", "cut", "shorter than announced", "another digest"],
)
def test_a_bundle_that_did_not_come_whole_is_an_error_and_leaves_what_was_there(
    fitstop, canned, jobs, tmp_path, content, headers
):
    canned.on("GET", f"/jobs/{jobs[0]['id']}/bundle.zip", lambda _asked: (200, content, headers))
    (tmp_path / "mine").write_bytes(b"before")
    result = fitstop("bundle", jobs[0]["id"], "-o", "mine", "--force")
    assert (result.exit_code in {5, 7}, result.stdout) == (True, "")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("mine", b"before")]


def test_a_bundle_is_there_whole_or_not_at_all(fitstop, canned, jobs, tmp_path):
    content = archive()
    path = f"/jobs/{jobs[0]['id']}/bundle.zip"
    canned.on("GET", path, {**PROBLEM, "status": 404}, 404)
    assert fitstop("bundle", jobs[0]["id"]).exit_code == 3
    assert list(tmp_path.iterdir()) == []
    canned.on("GET", path, lambda _asked: (200, content, {"Repr-Digest": digest(content)}))
    canned.on("GET", path, content)
    result = fitstop("bundle", jobs[0]["id"])
    assert (result.exit_code, result.stdout.strip()) == (0, f"{jobs[0]['id']}.zip")
    assert (tmp_path / f"{jobs[0]['id']}.zip").read_bytes() == content
