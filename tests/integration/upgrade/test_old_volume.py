"""A volume that version e06c457 wrote: all of it is read, and its interrupted job ends as that version would have."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.events import read_events
from shared.job import AttemptEnd
from shared.settings import Settings
from shared.times import utc_now
from shared.volume import Volume
from tests.support.keys import authorized
from tests.support.old_volume import (
    EXPECTED,
    FOLDER,
    RUNNING,
    OldVolume,
    answers,
    assert_resumed_as_twin,
    is_same_machinery,
    unpacked,
)
from worker.supervisor.claim import Owner, claim_next
from worker.supervisor.outcome import lost_attempt
from worker.training.resume.point import read_point
from worker.training.resume.store import first_owner_of, owner_of


@pytest.fixture
def old(tmp_path: Path) -> OldVolume:
    return unpacked(tmp_path)


def test_every_route_answers_and_every_job_is_what_it_was(old: OldVolume) -> None:
    found = answers(old.app())
    assert not {path: answer for path, answer in found.items() if path.startswith("/") and answer[0] not in {200, 404}}
    statuses = {job["id"]: job["status"] for job in found["/jobs"][1]["data"]}
    names = {job_id: name for name, job_id in EXPECTED["jobs"].items()}
    assert {names[job_id]: status for job_id, status in statuses.items()} == {
        **{name: name for name in EXPECTED["jobs"]}, "extended": "succeeded",
    }  # fmt: skip
    assert found["/jobs"][1]["set_aside"] == []
    assert [key["name"] for key in found["/keys"][1]["data"] if key["status"] == "active"] == [
        "FITSTOP_ADMIN_KEY", "ann",
    ]  # fmt: skip
    assert [card["worker"] for card in found["/workers"][1]["data"]] == ["host-a-7-abcdef"]
    assert (found["revoked"][0], found["session"][0]) == (401, 200)
    assert found["posted once"][1]["id"] == EXPECTED["jobs"]["succeeded"]


def test_an_old_result_names_its_best_model_and_its_last_improvement(old: OldVolume) -> None:
    job_id = EXPECTED["jobs"]["succeeded"]
    client = authorized(old.app(), EXPECTED["key"])
    stop = client.get(f"/jobs/{job_id}").json["stop"]
    assert stop["best"] == {"epoch": 1, "monitor": "val_accuracy", "value": 0.375}
    assert stop["last_improvement"] == {"epoch": 1, "value": 0.375, "min_delta": None}
    assert not stop.keys() & {"best_epoch", "best_value"}
    explained = client.get(f"/jobs/{job_id}/explain").json["sentences"]
    assert "The best model is from epoch 1: val_accuracy 0.3750." in explained


def test_the_interrupted_job_ends_as_the_version_that_began_it_would_have_ended_it(old: OldVolume) -> None:
    volume = Volume(old.root)
    job = volume.job_folder(RUNNING)
    [interrupted] = job.attempts()
    interrupted.close(lost_attempt(interrupted, Settings(retry_backoff_seconds=0)))
    attempt = claim_next(volume, Owner("here-1-a", "here", 1, 0, "CPU"))
    assert attempt is not None
    assert attempt.job.id == RUNNING
    subprocess.run([sys.executable, "-m", "worker.training", attempt.path], check=True, timeout=200)
    assert_resumed_as_twin(attempt)
    told = [event for _, event in read_events(attempt.events_file) if event.type == "resume"]
    assert [event for event in told if event.data.get("exact") is False] == [] or not is_same_machinery()


def test_a_point_of_the_first_versions_belongs_to_its_job_and_to_no_other(old: OldVolume) -> None:
    jobs = Volume(old.root).jobs
    points = [read_point(path) for path in sorted(jobs.glob("*/*/attempts/[1-9]/resume/*.bin"))]
    specs = {path.parent.name: path.read_bytes() for path in jobs.glob("*/*/spec.json")}
    owners = {first_owner_of(spec) for spec in specs.values()}
    assert len(owners) == len(specs)
    assert points
    assert {point.owner for point in points} <= owners
    assert owner_of(specs[RUNNING]) not in owners


def test_the_queue_of_the_old_volume_is_worked_off(old: OldVolume) -> None:
    volume = Volume(old.root)
    attempt = claim_next(volume, Owner("here-1-a", "here", 1, 0, "CPU"))
    assert attempt is not None
    assert attempt.job.id == EXPECTED["jobs"]["queued"]
    attempt.close(AttemptEnd(outcome="handed_back", ended_at=utc_now()))


def test_the_recorded_volume_names_no_machine(old: OldVolume) -> None:
    files = [FOLDER / "expected.json", *(path for path in old.root.rglob("*") if path.is_file())]
    assert not [path for path in files for place in (b"/tmp", b"/root", b"/home") if place in path.read_bytes()]
