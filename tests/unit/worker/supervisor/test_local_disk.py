"""A worker's own disk: when it gets no jobs, and when it gets jobs again."""

from pathlib import Path

import pytest

from worker.supervisor import local_disk
from worker.supervisor.local_disk import LocalDisk


def test_a_disk_with_room_is_well(tmp_path: Path) -> None:
    disk = LocalDisk(tmp_path)
    disk.look()
    assert disk.problem == ""


def test_a_disk_without_room_says_so_until_there_is_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = LocalDisk(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(local_disk, "_LEAST_FREE_BYTES", 2**60)
        disk.look()
    assert str(tmp_path) in disk.problem
    assert "MB are free" in disk.problem
    disk.look()
    assert disk.problem == ""


def test_a_folder_that_is_gone_says_so_and_is_well_when_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    disk = LocalDisk(folder)
    disk.look()
    assert "No such file or directory" in disk.problem
    folder.mkdir()
    disk.look()
    assert disk.problem == ""


def test_after_each_attempt_that_failed_on_it_the_disk_rests_longer_and_only_a_file_that_is_written_clears_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(local_disk.time, "monotonic", lambda: now[0])
    disk = LocalDisk(tmp_path)
    for seconds in (4, 8, 16):
        disk.suspect("an attempt failed on it")
        now[0] += seconds - 1
        disk.look()
        assert disk.problem == "an attempt failed on it"
        now[0] += 1
        with monkeypatch.context() as patch:
            patch.setattr(LocalDisk, "_write", _refuse)
            disk.look()
        assert "cannot be used: quota" in disk.problem
        disk.look()
        assert disk.problem == ""
    now[0] += 10_000
    disk.suspect("an attempt failed on it")
    now[0] += 2
    disk.look()
    assert disk.problem == ""


def _refuse(_: LocalDisk) -> None:
    raise OSError(122, "quota")
