"""A small seeded part of `make simulate`, and tests that the simulation detects broken promises.

Each fault that it found is pinned by a unit test of the wrong rule, since after a change a seed gives another world.
"""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shared.durable
import worker.supervisor.claim
import worker.supervisor.slots
from proofs.simulation.bucket import Bucket, BucketPlay
from proofs.simulation.crowd import run_crowd
from proofs.simulation.kernel import Process
from proofs.simulation.machinery import simulated
from proofs.simulation.shares import in_memory
from proofs.simulation.world import SETTINGS, Play, run_world
from shared.durable import create_file
from shared.job_folder import AttemptFolder, JobFolder, JobState
from worker.supervisor.heartbeat import Heartbeat
from worker.training.heartbeat_watchdog import HeartbeatWatchdog
from worker.training.stop_requests import StopRequests

FIRST = 1_000_000
# The worlds that show the rarest faults, tried before all others. After a change of the protocol they are ordinary
# worlds: the tests still pass, but take longer until these numbers are replaced.
TELLING = (FIRST + 58, FIRST + 111, FIRST + 31)


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[Path]:
    logging.disable()
    # Found once, by file operations. Without this, the first world would differ.
    tempfile.gettempdir()
    with in_memory() as folder, simulated():
        yield folder
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(FIRST, FIRST + 150, 50))
def test_every_promise_is_kept_in_every_world(folder: Path, first: int) -> None:
    broken = [outcome for seed in range(first, first + 50) if (outcome := run_world(seed, folder)).broken]
    assert not broken, "python -m proofs.simulation --world <seed> tells what happened"


@pytest.mark.parametrize("kind", [Play, BucketPlay])
def test_the_same_seed_is_the_same_world_to_the_last_file_operation(folder: Path, kind: type[Play]) -> None:
    for seed in range(FIRST, FIRST + 5):
        told: list[list[str]] = [[], []]
        for lines in told:
            run_world(seed, folder, tell=lines.append, kind=kind)
        assert told[0] == told[1]
        assert told[0]


# Each test removes one rule of the protocol, and the simulation must detect the consequence.


def first_broken(folder: Path, worlds: int, **settings: Any) -> str | None:
    for seed in (*TELLING, *range(FIRST, FIRST + worlds)):
        broken = run_world(seed, folder, SETTINGS.model_copy(update=settings)).broken
        if broken:
            return broken
    return None


def replacing_create(path: Path, content: bytes, *_: Path, draft: Path | None = None) -> bool:
    if draft is not None:
        draft.touch()
    shared.durable.replace_file(path, content)
    return True


# A take-over after 10 s happens in more worlds than one after 30 s, so fewer worlds are needed to see two trainers.


@pytest.mark.parametrize("self_stop_seconds", [SETTINGS.self_stop_seconds, 1e9])
def test_a_self_stop_that_comes_after_the_take_over_is_seen(folder: Path, self_stop_seconds: float) -> None:
    settings = {"take_over_seconds": 10.0, "self_stop_seconds": self_stop_seconds}
    # With a self-stop at 20 s, about one world in 140 shows it.
    assert "two live trainers" in str(first_broken(folder, 1500, **settings))


def blind_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StopRequests, "_check_heartbeat", lambda *_: None)
    monkeypatch.setattr(HeartbeatWatchdog, "_judge", lambda _: None)


def test_a_child_that_does_not_look_for_itself_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blind_children(monkeypatch)
    assert "two live trainers" in str(first_broken(folder, 600))


def test_a_worker_that_does_not_stop_by_itself_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Heartbeat, "is_lost", False)
    blind_children(monkeypatch)
    assert "two live trainers" in str(first_broken(folder, 400))


def test_a_create_that_is_not_exclusive_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.job_folder.create_file", replacing_create)
    assert "was written twice" in str(first_broken(folder, 400))


def test_a_claim_before_the_attempt_before_has_ended_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = JobFolder.state

    def state(self: JobFolder) -> Any:
        seen = ours(self)
        return None if seen is None else type(seen)(**{**vars(seen), "status": "queued"})

    monkeypatch.setattr(JobFolder, "state", state)
    monkeypatch.setattr(AttemptFolder, "end", lambda self: None)
    assert first_broken(folder, 50) is not None


def test_a_sweep_that_never_ends_what_is_silent_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.supervisor.patrol.Sweeper._end_lost_attempts", lambda _: None)
    assert "is lost" in str(first_broken(folder, 200))


def test_a_take_over_from_a_training_process_that_still_lives_is_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Here every child outlives its worker, because a child that asked too late to die with its worker is rare.
    monkeypatch.setattr(Process, "is_orphan", property(lambda _: True, lambda *_: None), raising=False)
    assert first_broken(folder, 50) is None
    monkeypatch.setattr(AttemptFolder, "training_process", lambda _: None)
    assert "two live trainers" in str(first_broken(folder, 1500))


def test_an_attempt_that_is_judged_from_another_machine_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.supervisor.patrol.is_gone", lambda process: process is not None)
    assert "two live trainers" in str(first_broken(folder, 400))


def test_losses_without_a_limit_are_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.supervisor.outcome._lost", lambda broken, _: broken.end(outcome="lost", is_loss=True))
    assert "losses, and it ended" in str(first_broken(folder, 200))


def test_losses_that_count_in_spite_of_progress_are_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("worker.supervisor.outcome", "worker.supervisor.attempt"):
        monkeypatch.setattr(f"{module}.made_progress", lambda _: False)
    assert "of its progress" in str(first_broken(folder, 400))


def test_a_sweep_that_never_notifies_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.supervisor.patrol.Sweeper._notify_of", lambda *_: None)
    assert "is lost" in str(first_broken(folder, 200))


def test_a_result_that_nobody_writes_for_a_dead_worker_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = JobFolder.settle
    monkeypatch.setattr(
        JobFolder, "settle", lambda self, ending, attempt: attempt is None and ours(self, ending, attempt)
    )
    monkeypatch.setattr("worker.supervisor.claim.settle_if_decided", lambda *_: False)
    assert "of a job without a result was removed" in str(first_broken(folder, 50))


def test_a_marker_behind_the_spec_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unmarked(path: Path, content: bytes, *resting_on: Path, draft: Path | None = None) -> bool:
        created = create_file(path, content, *resting_on)
        if draft is not None:
            draft.touch()
        return created

    monkeypatch.setattr("shared.job_folder.create_file", unmarked)
    assert "not marked" in str(first_broken(folder, 10))


# A volume in a bucket, and a folder for each machine.


def test_every_promise_is_kept_where_the_volume_is_in_a_bucket(folder: Path) -> None:
    seeds = range(FIRST, FIRST + 20)
    assert not [outcome for seed in seeds if (outcome := run_world(seed, folder, kind=BucketPlay)).broken]


def first_broken_in_a_bucket(folder: Path, worlds: int) -> str | None:
    outcomes = (run_world(seed, folder, kind=BucketPlay) for seed in range(FIRST, FIRST + worlds))
    return next((outcome.broken for outcome in outcomes if outcome.broken), None)


def test_a_cancel_that_is_judged_by_an_old_look_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.settling.refresh", lambda _: None)
    assert "was cancelled by nobody" in str(first_broken_in_a_bucket(folder, 300))


def test_an_upload_that_arrives_after_a_newer_one_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.mirror.late.LateRequests.find_unsettled", lambda _: set())
    assert "in the end, and its attempt had written" in str(first_broken_in_a_bucket(folder, 300))


def test_a_bucket_that_creates_twice_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bucket, "create", lambda self, name, content, _: self.put(name, content) or True)
    assert "was written twice" in str(first_broken_in_a_bucket(folder, 300))


# A queue of narrow and wide jobs that never becomes empty.


def test_no_worker_that_holds_enough_devices_passes_a_wide_job_over(folder: Path) -> None:
    assert [trouble for seed in range(FIRST, FIRST + 5) for trouble in run_crowd(seed, folder)] == []


def test_wide_jobs_that_stand_behind_narrow_ones_are_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = worker.supervisor.claim.in_turns

    def narrow_first(*arguments: Any, **options: Any) -> list[JobState]:
        return sorted(ours(*arguments, **options), key=lambda state: state.record.spec.devices)

    monkeypatch.setattr("worker.supervisor.claim.in_turns", narrow_first)
    assert "was overtaken by" in str([run_crowd(seed, folder) for seed in range(FIRST, FIRST + 2)])


def test_free_slots_that_are_kept_for_no_wide_job_are_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = worker.supervisor.slots.claim_next

    def claim_what_fits(*arguments: Any, **options: Any) -> AttemptFolder | None:
        return ours(*arguments, **{**options, "most_devices": 0})

    monkeypatch.setattr("worker.supervisor.slots.claim_next", claim_what_fits)
    assert "was overtaken by" in str([run_crowd(seed, folder) for seed in range(FIRST + 5, FIRST + 10)])
