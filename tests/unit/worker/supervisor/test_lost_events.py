"""Each lost attempt is reported once, with its worker and host; by a later attempt if it could not do so itself."""

import threading
import time

import pytest

from shared.events import job_events
from shared.job import Claim
from shared.job_folder import AttemptFolder, JobFolder
from shared.settings import Settings
from shared.times import utc_now
from shared.volume import Volume
from tests.unit.shared.records import posted, train_to
from worker.supervisor.attempt import AttemptRun
from worker.supervisor.outcome import Exit, decide, lost_attempt

SETTINGS = Settings()


def claimed(job: JobFolder, number: int) -> AttemptFolder:
    host = f"gpu-{number}"
    claim = Claim(attempt=number, owner=f"{host}-7-abc", host=host, pid=7, slot=0, device="CPU", claimed_at=utc_now())
    attempt = job.take(claim)
    assert attempt is not None
    return attempt


@pytest.fixture
def job(volume: Volume) -> JobFolder:
    return posted(volume)


def run(attempt: AttemptFolder, volume: Volume, child: Exit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the attempt as its worker does, with a child that ended as `child` says."""
    monkeypatch.setattr(AttemptRun, "_train", lambda *_: decide(attempt, child, SETTINGS))
    AttemptRun(attempt, time.monotonic(), volume, SETTINGS, threading.Event()).run(None)  # type: ignore[arg-type]


def lost(job: JobFolder) -> list[tuple[int, str, str, str]]:
    events = [placed.event for placed in job_events(job) if placed.event.type == "lost"]
    return [(one.data["attempt"], one.data["worker"], one.data["host"], one.data["code"]) for one in events]


def test_the_next_attempt_tells_of_all_that_could_not_themselves(
    job: JobFolder, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = claimed(job, 1)
    train_to(first, 0, None)
    first.close(lost_attempt(first, SETTINGS))
    second = claimed(job, 2)
    second.close(lost_attempt(second, SETTINGS))  # before it reported the first
    run(claimed(job, 3), volume, Exit(-9, "drain"), monkeypatch)
    run(claimed(job, 4), volume, Exit(-9, "drain"), monkeypatch)
    assert lost(job) == [(2, "gpu-2-7-abc", "gpu-2", "worker_lost"), (1, "gpu-1-7-abc", "gpu-1", "worker_lost")]


def test_a_worker_whose_child_was_killed_tells_of_it_itself(
    job: JobFolder, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(claimed(job, 1), volume, Exit(-9), monkeypatch)
    run(claimed(job, 2), volume, Exit(-9, "drain"), monkeypatch)
    assert lost(job) == [(1, "gpu-1-7-abc", "gpu-1", "killed")]


def test_nothing_that_takes_time_on_a_slow_volume_comes_before_the_first_beat(
    job: JobFolder, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, has_beaten = claimed(job, 1), []
    monkeypatch.setattr(
        "worker.supervisor.attempt._lost_before", lambda _: has_beaten.append(attempt.heartbeat_file.exists()) or []
    )
    run(attempt, volume, Exit(-9, "drain"), monkeypatch)
    assert has_beaten == [True]
