"""A volume that is unavailable, full or slow, and what the API answers."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.operate import health
from shared.job import AttemptEnd, JobError
from shared.job_folder import JobFolder
from shared.settings import Settings
from shared.times import utc_now
from shared.volume import Volume
from shared.worker_card import WorkerCard
from tests.support.jobs import claim, small_spec


def show_worker(volume: Volume, paused: str) -> None:
    volume.show_worker(
        WorkerCard(
            worker="w1", host="gpu-1", pid=7, device="CPU", slots=1, child_start="forkserver", ready=not paused,
            draining=False, paused=paused, running=(), started_at=utc_now(), seen_at=utc_now(),
        )
    )  # fmt: skip


@pytest.fixture
def away(volume: Volume, job: JobFolder, tmp_path: Path) -> Iterator[Path]:
    """The empty mount point of the volume with one job, which is moved away."""
    elsewhere = tmp_path / "elsewhere"
    volume.root.rename(elsewhere)
    volume.root.mkdir()
    yield volume.root
    volume.root.rmdir()
    elsewhere.rename(volume.root)


def test_a_volume_that_is_away_answers_503_to_every_read_and_write_and_nothing_is_made_in_its_place(
    client: FlaskClient, job: JobFolder, away: Path
) -> None:
    for method, path in (
        ("GET", f"/jobs/{job.id}"), ("GET", "/jobs"), ("GET", "/jobs/unknown"), ("DELETE", f"/jobs/{job.id}"),
        ("POST", f"/jobs/{job.id}/cancel"), ("POST", f"/jobs/{job.id}/retry"), ("GET", f"/jobs/{job.id}/events"),
        ("GET", "/datasets"), ("GET", "/datasets/grades"), ("GET", "/queue"), ("GET", "/workers"), ("GET", "/keys"),
        ("POST", "/keys"), ("GET", "/usage"), ("GET", "/nowhere"), ("GET", "/page/rows"),
    ):  # fmt: skip
        answer = client.open(path, method=method)
        assert (answer.status_code, answer.json["code"]) == (503, "volume_unavailable"), (method, path)
        assert (answer.content_type, answer.headers["Retry-After"]) == ("application/problem+json", "5")
    headers = {"Idempotency-Key": "one"}
    assert client.post("/jobs", json=small_spec(), headers=headers).status_code == 503
    assert client.put("/datasets/new", data=b"a,b\n1,2\n").status_code == 503
    assert list(away.iterdir()) == []


def test_what_needs_no_volume_is_answered_without_one(client: FlaskClient, away: Path) -> None:
    for path in ("/healthz", "/limits", "/openapi.json", "/schema/job.json", "/page/static/app.css"):
        assert client.get(path).status_code in {200, 404}, path
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["checks"]["volume"]["ok"]) == (503, False)
    assert "not mounted" in answer.json["checks"]["volume"]["detail"]
    assert list(away.iterdir()) == []


def test_a_key_of_the_volume_is_not_called_unknown_while_the_volume_is_away(app: Flask, away: Path) -> None:
    stranger = app.test_client()
    answer = stranger.get("/readyz", headers={"Authorization": "Bearer fs_of_the_volume"})
    assert answer.status_code == 503
    assert list(away.iterdir()) == []


def test_the_service_is_not_ready_below_the_reserve_of_the_volume(
    client: FlaskClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/readyz").json["checks"]["volume"]["ok"]
    monkeypatch.setattr("shared.volume.os.statvfs", lambda _: type("Full", (), {
        "f_files": 0, "f_favail": 0, "f_bavail": settings.volume_reserve_bytes - 1, "f_frsize": 1,
    }))  # fmt: skip
    check = client.get("/readyz").json["checks"]["volume"]
    assert (check["ok"], "No space left" in check["detail"]) == (False, True)


def test_workers_that_pause_are_shown_with_their_reason(
    client: FlaskClient, volume: Volume, new_job: Callable[..., JobFolder]
) -> None:
    job = new_job()
    show_worker(volume, "the volume is full")
    [worker] = client.get("/workers").json["data"]
    assert (worker["status"], worker["paused"]) == ("paused", "the volume is full")
    check = client.get("/readyz").json["checks"]["workers"]
    assert (check["ok"], "the volume is full" in check["detail"]) == (False, True)
    [waiting] = client.get("/queue").json["data"]
    assert (waiting["waits"]["reason"], "the volume is full" in waiting["waits"]["detail"]) == ("volume", True)
    assert "the volume is full" in client.get(f"/jobs/{job.id}/explain").json["text"]
    assert 'fitstop_workers{status="paused"} 1.0' in client.get("/metrics").text
    show_worker(volume, "")
    assert client.get("/readyz").json["checks"]["workers"]["ok"]


def test_a_job_whose_data_is_gone_says_so(client: FlaskClient, volume: Volume, job: JobFolder) -> None:
    error = JobError(code="data_missing", message="the dataset is not on the volume")
    claim(job).close(AttemptEnd(outcome="handed_back", ended_at=utc_now(), error=error))
    volume.data_file("grades").rename(volume.root / "away.parquet")
    [waiting] = client.get("/queue").json["data"]
    assert waiting["waits"]["reason"] == "data_missing"
    assert "the dataset is not on the volume" in client.get(f"/jobs/{job.id}/explain").json["text"]
    (volume.root / "away.parquet").rename(volume.data_file("grades"))
    [waiting] = client.get("/queue").json["data"]
    assert waiting["waits"]["reason"] == "no_worker"


def test_a_volume_that_hangs_keeps_nobody_waiting_for_readiness(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(health, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(Volume, "check", lambda _: release.wait(120) and None)
    answer = client.get("/readyz")
    release.set()
    assert answer.status_code == 503
    assert "does not answer" in answer.json["checks"]["volume"]["detail"]
