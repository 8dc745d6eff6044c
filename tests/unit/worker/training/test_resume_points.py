"""Damaged resume points and checkpoints: never used silently, and never the end of a job."""

import dataclasses
import errno
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import job_events
from shared.job import AttemptEnd, Stop
from shared.job_folder import AttemptFolder, JobFolder
from shared.manifest import Checkpoint, Manifest, read_manifest, write_manifest
from shared.points import points_of
from shared.storage import classify_storage_error
from shared.times import utc_now
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from worker.training.resume.point import DamagedPoint, Place, ResumePoint, read_point, write_point
from worker.training.resume.store import newest_point, remove_older, remove_replaced, save_point
from worker.training.run import run
from worker.training.stop_requests import StopRequests


@pytest.fixture(autouse=True)
def saves_after_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save after each epoch; on a slow machine a run would save less often."""
    monkeypatch.setattr("worker.training.callbacks.resume_saver._MOST_SHARE", math.inf)


def a_point(epoch: int = 3, **parts: Any) -> ResumePoint:
    values: dict[str, Any] = {
        "place": Place(epoch, 0), "is_stopped": False, "owner": "o", "built_with": {"keras": "3"},
        "callbacks": {"early_stopping": {"wait": 2, "best": 0.1}}, "manifest": {}, "log_bytes": 0, "log_sha256": "",
        "random": {"python": [3, [1, 2], None]},
        "tensors": (
            ("model:0", np.arange(12, dtype="f4").reshape(3, 4)),
            ("optimizer:0", np.array(7, dtype="i8")),
            ("model:1", np.zeros((0, 2), dtype="f4")),
        ),
    }  # fmt: skip
    return ResumePoint(**{**values, **parts})


def test_a_point_comes_back_as_it_was(tmp_path: Path) -> None:
    point = a_point()
    write_point(tmp_path / "p", point)
    back = read_point(tmp_path / "p")
    assert (back.place, back.callbacks, back.random, back.built_with) == (
        point.place, point.callbacks, point.random, point.built_with,
    )  # fmt: skip
    for (name, array), (name_back, array_back) in zip(point.tensors, back.tensors, strict=True):
        assert (name, array.dtype, array.shape) == (name_back, array_back.dtype, array_back.shape)
        np.testing.assert_array_equal(array, array_back)


@given(st.data())
def test_no_flipped_bit_and_no_cut_goes_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("point") / "p"
    write_point(path, a_point())
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path.write_bytes(content)
    with pytest.raises(DamagedPoint):
        read_point(path)


def flip(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << chance.randrange(8))]) + content[at + 1 :]


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def zero_page(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    zeroed = content[:at] + bytes(min(4096, len(content) - at)) + content[at + 4096 :]
    return zeroed if zeroed != content else flip(content, chance)


MUTATIONS: list[Callable[[bytes, random.Random], bytes]] = [flip, cut, zero_page]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """A job whose first attempt trained to its end and was then lost before it could report this."""
    volume = Volume(tmp_path_factory.mktemp("volume"))
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec(hyperparameters={"epochs": 6, "learning_rate": 0.01}))
    attempt = claim(job)
    run(attempt, StopRequests(attempt, 60))
    attempt.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    # On a slow machine a run saves less often than after each epoch; this makes two points in any case.
    newest = read_point(max(attempt.resume.iterdir(), key=lambda path: path.name))
    for path in attempt.resume.iterdir():
        path.unlink()
    save_point(attempt, dataclasses.replace(newest, place=Place(newest.place.epoch - 1, 0)))
    save_point(attempt, newest)
    return job


def usable(earlier: AttemptFolder, point: ResumePoint) -> ResumePoint:
    """Accept every point."""
    return point


def test_of_a_hundred_mutated_points_none_is_taken_and_the_one_before_it_is(killed: JobFolder) -> None:
    attempt = AttemptFolder(killed.attempts_folder / "2", 2)
    older, newer = sorted(killed.attempts()[0].resume.iterdir())
    good = newer.read_bytes()
    chance = random.Random(7)
    for number in range(100):
        newer.write_bytes(MUTATIONS[number % 3](good, chance))
        told: list[str] = []
        found = newest_point(attempt, usable, told.append)
        assert found is not None
        assert found[2].place == read_point(older).place
        assert len(told) == 1
        assert "cannot be used" in told[0]
    newer.write_bytes(older.read_bytes())
    newer.write_bytes(good)


def test_a_point_of_another_job_is_not_taken(killed: JobFolder, volume: Volume) -> None:
    put_dataset(volume, learnable_frame())
    other = put_job(volume, small_spec())
    first = claim(other)
    first.resume.mkdir()
    for path in killed.attempts()[0].resume.iterdir():
        (first.resume / path.name).write_bytes(path.read_bytes())
    first.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    told: list[str] = []
    assert newest_point(claim(other, 2), usable, told.append) is None
    assert [("belongs to another job" in one, "starts again" in one) for one in told] == [
        (True, False),
        (True, False),
        (False, True),
    ]


def stop_of(job: JobFolder, number: int) -> Stop:
    attempt = claim(job, number)
    conclusion = run(attempt, StopRequests(attempt, 60))
    attempt.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    assert conclusion.ending is not None
    assert conclusion.ending.stop is not None
    return conclusion.ending.stop


def test_with_every_point_and_a_checkpoint_damaged_the_job_begins_anew_says_so_and_ends_the_same(
    volume: Volume,
) -> None:
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec(hyperparameters={"epochs": 5, "learning_rate": 0.01}))
    first = stop_of(job, 1)
    chance = random.Random(1)
    for path in job.attempts()[0].resume.iterdir():
        path.write_bytes(flip(path.read_bytes(), chance))
    assert stop_of(job, 2) == first
    told = [placed.event for placed in job_events(job) if placed.event.type == "resume"]
    assert {event.level for event in told} == {"warning"}
    logs = [attempt.training_log.read_bytes() for attempt in job.attempts()]
    assert logs[0] == logs[1]


def test_a_damaged_checkpoint_is_not_taken_over(volume: Volume) -> None:
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec(hyperparameters={"epochs": 5, "learning_rate": 0.01}))
    stop_of(job, 1)
    earlier = job.attempts()[0]
    manifest = read_manifest(earlier.manifest_file)
    assert manifest.best is not None
    best = earlier.checkpoints / manifest.best
    best.write_bytes(flip(best.read_bytes(), random.Random(3)))
    stop_of(job, 2)
    taken = read_manifest(job.attempts()[1].manifest_file)
    assert manifest.best not in [one.name for one in taken.checkpoints]
    assert not (job.attempts()[1].checkpoints / manifest.best).exists()


def test_the_private_name_that_builds_the_variables_is_still_kerass() -> None:
    import inspect

    import keras

    assert list(inspect.signature(keras.Model._symbolic_build).parameters) == ["self", "iterator", "data_batch"]


def test_a_point_of_a_model_that_is_built_otherwise_is_not_taken_and_the_run_begins_anew(volume: Volume) -> None:
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec(hyperparameters={"epochs": 3, "learning_rate": 0.01}))
    first = stop_of(job, 1)
    for path in job.attempts()[0].resume.iterdir():
        point = read_point(path)
        write_point(path, dataclasses.replace(point, tensors=point.tensors[1:]))
    assert stop_of(job, 2) == first
    told = [placed.event.message for placed in job_events(job) if placed.event.type == "resume"]
    assert told
    assert all("another model" in message for message in told[:-1])
    assert "starts again" in told[-1]


def attempt_of(job: JobFolder, number: int, *epochs: int) -> AttemptFolder:
    """Claim an attempt, and write its points and a checkpoint."""
    attempt = claim(job, number)
    for epoch in epochs:
        save_point(attempt, a_point(epoch))
    attempt.checkpoints.mkdir(exist_ok=True)
    (attempt.checkpoints / "m.keras").write_bytes(b"model")
    checkpoint = Checkpoint(name="m.keras", epoch=1, bytes=5, sha256="0" * 64, saved_at=utc_now(), metrics={})
    write_manifest(attempt.manifest_file, Manifest(best="m.keras", checkpoints=(checkpoint,)))
    return attempt


def lost(attempt: AttemptFolder) -> None:
    attempt.close(AttemptEnd(outcome="lost", ended_at=utc_now()))


def names(attempt: AttemptFolder) -> list[str]:
    return [path.name for path in points_of(attempt)]


def test_the_last_two_points_over_all_attempts_stay_and_what_they_replace_goes(volume: Volume) -> None:
    put_dataset(volume, learnable_frame(40))
    job = put_job(volume, small_spec())
    first = attempt_of(job, 1, 1, 2)
    lost(first)
    second = attempt_of(job, 2, 3, 4)
    lost(second)
    third = attempt_of(job, 3)
    resumed_from = points_of(second)[1]
    assert not remove_replaced(third, resumed_from), "nothing is replaced by no point"
    save_point(third, a_point(5))
    assert not remove_replaced(third, resumed_from)
    assert (names(first), names(second)) == ([], [resumed_from.name])
    assert (second.checkpoints / "m.keras").exists()
    save_point(third, a_point(6))
    assert remove_replaced(third, resumed_from)
    assert (names(second), len(names(third))) == ([], 2)
    assert not second.checkpoints.exists()
    assert (third.checkpoints / "m.keras").exists()


def test_while_it_is_not_known_which_earlier_point_can_be_used_all_stay(volume: Volume) -> None:
    put_dataset(volume, learnable_frame(40))
    job = put_job(volume, small_spec())
    first = attempt_of(job, 1, 1, 2)
    lost(first)
    second = attempt_of(job, 2, 1)
    assert not remove_replaced(second, None)
    assert len(names(first)) == 2


def test_the_models_of_an_earlier_attempt_stay_until_there_is_one_of_this_attempt(volume: Volume) -> None:
    put_dataset(volume, learnable_frame(40))
    job = put_job(volume, small_spec())
    first = attempt_of(job, 1, 1)
    lost(first)
    second = claim(job, 2)
    for epoch in (2, 3):
        save_point(second, a_point(epoch))
    assert remove_replaced(second, points_of(first)[0])
    assert (first.checkpoints / "m.keras").exists()


def test_a_volume_that_cannot_be_read_does_not_let_a_job_begin_at_the_beginning(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_dataset(volume, learnable_frame(40))
    job = put_job(volume, small_spec())
    lost(attempt_of(job, 1, 1, 2))
    second = claim(job, 2)

    def fail(_: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fail)
    told: list[str] = []
    with pytest.raises(OSError, match="Input/output") as failed:
        newest_point(second, lambda _, point: point, told.append)
    assert classify_storage_error(failed.value, volume.root) == "volume_error"
    assert len(told) == 2


def test_before_a_program_begins_what_two_newer_points_replace_is_removed(volume: Volume) -> None:
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec())
    for number, points in ((1, 2), (2, 1), (3, 1), (4, 0)):
        attempt = claim(job, number)
        attempt.resume.mkdir()
        for epoch in range(points):
            (attempt.resume / f"point-{10 * number + epoch:07d}-000000000.bin").touch()
        (attempt.resume / "fit-0001.bin").touch()
        attempt.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    remove_older(claim(job, 5))
    left = [[path.name[:5] for path in sorted(one.resume.iterdir())] for one in job.attempts()[:4]]
    assert left == [["fit-0"], ["fit-0", "point"], ["fit-0", "point"], ["fit-0"]]
