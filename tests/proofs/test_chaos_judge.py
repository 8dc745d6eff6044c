"""Tests of the judge of `make chaos`: it must find faults that are written by hand."""

from pathlib import Path

import pytest

from proofs.chaos.judge import judge
from proofs.chaos.outcomes import torn_files
from proofs.chaos.record import Record
from proofs.chaos.trainers import lives, overlaps
from shared.manifest import Checkpoint, Manifest, write_manifest
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec


def line(t: float, attempt: int, pid: int, state: str) -> dict[str, object]:
    return {"what": "trainer", "t": t, "job": "job", "attempt": attempt, "pid": pid, "state": state}


def found(*lines: dict[str, object]) -> list[tuple[float, bool]]:
    return [(overlap.seconds, overlap.is_excused) for overlap in overlaps(lives(list(lines), until=100))]


def test_two_trainers_side_by_side_are_found() -> None:
    assert found(line(1, 1, 7, "runs"), line(3, 2, 8, "runs"), line(5, 1, 7, "gone")) == [(2, False)]


def test_two_trainers_of_the_same_attempt_are_found() -> None:
    assert found(line(1, 1, 7, "runs"), line(3, 1, 8, "runs"), line(4, 1, 8, "gone")) == [(1, False)]


def test_a_thawed_trainer_may_live_for_a_batch_and_no_longer() -> None:
    frozen = line(1, 1, 7, "runs"), line(2, 1, 7, "stopped"), line(9, 2, 8, "runs"), line(12, 1, 7, "runs")
    assert found(*frozen, line(12.25, 1, 7, "gone")) == [(0.25, True)]
    assert found(*frozen, line(14, 1, 7, "gone")) == [(2, False)]


def test_one_trainer_after_the_other_is_well() -> None:
    assert found(line(1, 1, 7, "runs"), line(3, 1, 7, "gone"), line(3, 2, 8, "runs")) == []


@pytest.fixture
def posted(volume: Volume) -> Volume:
    put_dataset(volume, learnable_frame(40))
    return volume


def test_a_job_without_a_result_is_lost_and_so_is_one_that_was_acknowledged_and_is_not_there(
    posted: Volume, tmp_path: Path
) -> None:
    job = put_job(posted, small_spec())
    record = Record(tmp_path / "record.jsonl")
    record.write("acknowledged", job="job_that_is_nowhere", name="kind-0-0")
    verdict = judge(1, posted, record, {})
    assert verdict.broken["jobs lost"] == [job.id, "job_that_is_nowhere"]
    assert not verdict.is_kept


def test_half_files_and_files_of_other_bytes_are_torn(posted: Volume) -> None:
    attempt = claim(put_job(posted, small_spec()))
    attempt.checkpoints.mkdir()
    (attempt.checkpoints / "model-01.keras").write_bytes(b"other bytes")
    (attempt.checkpoints / "model-02.keras").write_bytes(b"PK half")
    named = Checkpoint(
        name="model-01.keras", epoch=1, bytes=11, sha256="0" * 64, saved_at="2026-11-23T19:12:00.000Z", metrics={}
    )
    write_manifest(attempt.manifest_file, Manifest(best=named.name, checkpoints=(named,)))
    attempt.heartbeat_file.write_text('{"count": ')
    told = list(torn_files(posted))
    assert len(told) == 3
    assert ["heartbeat" in told[0], "model-01" in told[1], "model-02" in told[2]] == [True, True, True]
