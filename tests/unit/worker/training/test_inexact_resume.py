"""A resume that is not exact, or from an unusable point: the job reports it and does not end."""

import dataclasses
import math
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from api import create_app
from shared.document import FORMAT
from shared.events import Event, read_events
from shared.job import AttemptEnd
from shared.job_folder import JobFolder
from shared.settings import Settings
from shared.times import utc_now
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.keys import ADMIN_KEY, authorized
from worker.training.resume import point as point_file
from worker.training.resume.computed_by import computed_by, differences
from worker.training.resume.point import ResumePoint, read_point, write_point
from worker.training.run import run
from worker.training.stop_requests import StopRequests


@pytest.fixture(autouse=True, scope="module")
def saves_after_each_epoch() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.training.callbacks.resume_saver._MOST_SHARE", math.inf)
        yield


@pytest.fixture(scope="module")
def lost_once(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """A job whose first attempt was lost at its end, on a volume of its own."""
    volume = Volume(tmp_path_factory.mktemp("lost") / "volume")
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec(hyperparameters={"epochs": 4, "engine": "stock"}))
    attempt = claim(job)
    run(attempt, StopRequests(attempt, 60))
    attempt.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    return job


@pytest.fixture
def lost(lost_once: JobFolder, volume: Volume) -> JobFolder:
    """A copy of that job on the test's volume."""
    shutil.copytree(
        next(one for one in lost_once.path.parents if one.name == "volume"), volume.root, dirs_exist_ok=True
    )
    return volume.job_folder(lost_once.id)


def rewrite(job: JobFolder, alter: Callable[[ResumePoint], ResumePoint]) -> None:
    for path in job.attempts()[0].resume.iterdir():
        write_point(path, alter(read_point(path)))


def resumed(job: JobFolder) -> list[Event]:
    """Run the next attempt, which ends as the first one did, and return its resume events."""
    attempt = claim(job, 2)
    conclusion = run(attempt, StopRequests(attempt, 60))
    assert conclusion.ending is not None
    assert conclusion.ending.status == "succeeded"
    assert attempt.training_log.read_bytes() == job.attempts()[0].training_log.read_bytes()
    return [event for _, event in read_events(attempt.events_file) if event.type == "resume"]


def shown(volume: Volume, job: JobFolder) -> Any:
    settings = Settings(volume=volume.root, redis_url="redis://127.0.0.1:1/0", admin_key=ADMIN_KEY)
    return authorized(create_app(settings)).get(f"/jobs/{job.id}").json


def test_a_resume_on_the_same_machine_is_exact(volume: Volume, lost: JobFolder) -> None:
    assert [event.level for event in resumed(lost)] == ["info"]
    assert shown(volume, lost)["resume"] == {"exact": True, "kind": "exact", "reasons": []}


def test_another_processor_is_a_warning_and_the_job_shows_it(volume: Volume, lost: JobFolder) -> None:
    other = {"cpu": "x86_64 GenuineIntel 6 143", "cpu_features": "avx avx2 amx_tile"}
    rewrite(lost, lambda point: dataclasses.replace(point, built_with={**point.built_with, **other}))
    _, told = resumed(lost)
    assert (told.level, told.data) == ("warning", {"exact": False, "kind": "inexact"})
    assert "cpu: x86_64 GenuineIntel 6 143 before" in told.message
    assert "CPU features lost: " in told.message
    assert "amx_tile" in told.message
    found = shown(volume, lost)
    assert found["resume"] == {"exact": False, "kind": "inexact", "reasons": [told.message]}
    assert told.message in found["warnings"]


def test_a_point_that_names_no_processor_says_nothing_of_it() -> None:
    now = computed_by()
    assert now["cpu"]
    assert now["device"]
    assert differences({"keras": now["keras"]}, now) == []
    assert differences({**now, "keras": "2.0"}, now) == [f"keras: 2.0 before, {now['keras']} now"]
    assert differences({"theano": "1"}, now) == ["theano: 1 before, none now"]


@pytest.mark.parametrize(
    ("forgotten", "told"),
    [
        (lambda states: states.pop("narrator"), "last_epoch of narrator"),
        (lambda states: states["early_stopping"].pop("wait"), "wait of early_stopping"),
        (lambda states: states.pop("csv_logger"), "keys of csv_logger"),
    ],
    ids=["a callback", "a part of a state", "a log"],
)
def test_a_callback_without_a_state_starts_from_its_default_and_says_so(
    lost: JobFolder, forgotten: Callable[[dict[str, Any]], Any], told: str
) -> None:
    def forget(point: ResumePoint) -> ResumePoint:
        forgotten(point.callbacks)
        return point

    rewrite(lost, forget)
    _, event = resumed(lost)
    assert told in event.message
    assert event.data == {"exact": False, "kind": "inexact"}


def test_a_state_that_this_version_does_not_know_is_ignored(lost: JobFolder) -> None:
    def add(point: ResumePoint) -> ResumePoint:
        point.callbacks["early_stopping"]["model"] = "a name that Keras uses"
        return dataclasses.replace(point, callbacks={**point.callbacks, "later": {"x": 1}})

    rewrite(lost, add)
    assert [event.level for event in resumed(lost)] == ["info"]


def test_a_newer_point_and_one_without_its_parts_are_passed_over_for_the_one_before(
    lost: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, older, newest = sorted(lost.attempts()[0].resume.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(point_file, "FORMAT", FORMAT + 1)
        write_point(newest, read_point(newest))
    refused, taken = resumed(lost)
    assert "written by a newer version of Fitstop" in refused.message
    assert taken.data["epoch"] == read_point(older).place.epoch + 1


@pytest.mark.parametrize("change", [{"random": {}}, {"callbacks": None}, {"manifest": {"best": 7}}, {"tensors": ()}])
def test_points_whose_parts_cannot_be_used_are_told_and_the_run_starts_again(
    lost: JobFolder, change: dict[str, Any]
) -> None:
    rewrite(lost, lambda point: dataclasses.replace(point, **change))
    *refused, last = resumed(lost)
    assert refused
    assert all("cannot be used" in event.message for event in refused)
    assert last.message == "no resume point can be used, so training starts again from epoch 1"
