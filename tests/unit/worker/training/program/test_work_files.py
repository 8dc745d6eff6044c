"""The script's working folder at its resume points."""

import shutil
from pathlib import Path

import pytest

from shared.job_folder import AttemptFolder, JobFolder
from worker.training.background import MOST_WAITING
from worker.training.program import work_files
from worker.training.program.work_files import WorkFiles, check_copy
from worker.training.resume.point import DamagedPoint


def folders(tmp_path: Path) -> tuple[AttemptFolder, AttemptFolder]:
    job = JobFolder(tmp_path / "jobs" / "xx" / "job_1")
    attempts = [AttemptFolder(job.attempts_folder / str(number), number) for number in (1, 2)]
    for attempt in attempts:
        (attempt.path / "files").mkdir(parents=True)
        attempt.resume.mkdir()
        (attempt.path / "files" / "train.py").write_text("pass")
    return attempts[0], attempts[1]


def tree(attempt: AttemptFolder) -> dict[str, str]:
    folder = attempt.path / "files"
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_another_attempt_finds_the_folder_as_it_was_at_the_point(tmp_path: Path) -> None:
    first, second = folders(tmp_path)
    files = WorkFiles(first, print)
    files.begin()
    (files.folder / "runs").mkdir()
    (files.folder / "runs" / "log.csv").write_text("a\n")
    (files.folder / "link").symlink_to(files.folder / "train.py")
    state = files.state()
    as_it_was = {"train.py": "pass", "runs/log.csv": "a\n"}
    with (files.folder / "runs" / "log.csv").open("a") as file:
        file.write("b\n")
    (files.folder / "later.txt").write_text("x")
    again = WorkFiles(second, print)
    again.begin()
    (again.folder / "begun.txt").write_text("of the first lines")
    again.restore(state)
    assert tree(second) == as_it_was


def test_a_file_that_has_not_changed_is_kept_once(tmp_path: Path) -> None:
    first, _ = folders(tmp_path)
    files = WorkFiles(first, print)
    files.begin()
    (files.folder / "model.bin").write_text("m")
    copies = [first.resume / "files" / files.state()["copy"] / "model.bin" for _ in range(2)]
    assert copies[0].stat().st_ino == copies[1].stat().st_ino != (files.folder / "model.bin").stat().st_ino
    (files.folder / "model.bin").write_text("new")
    assert (first.resume / "files" / files.state()["copy"] / "model.bin").read_text() == "new"
    assert copies[0].read_text() == "m"


def test_a_file_that_a_child_of_the_script_removes_meanwhile_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = folders(tmp_path)
    files = WorkFiles(first, print)
    files.begin()
    (files.folder / "kept").write_text("k")
    (files.folder / "removed").write_text("r")
    copy = shutil.copy2

    def remove_and_copy(source: Path, target: Path) -> None:
        (files.folder / "removed").unlink(missing_ok=True)
        copy(source, target)

    monkeypatch.setattr(shutil, "copy2", remove_and_copy)
    state = files.state()
    WorkFiles(second, print).restore(state)
    assert tree(second) == {"kept": "k"}


def test_only_the_copies_that_a_point_may_need_stay(tmp_path: Path) -> None:
    first, _ = folders(tmp_path)
    files = WorkFiles(first, print)
    files.begin()
    files.keeps_next = True
    kept = [files.state()["copy"] for _ in range(20)]
    there = sorted(one.name for one in (first.resume / "files").iterdir())
    # Two points on the disk, one that is being written, and those that wait for the writer or a place in its queue.
    assert there == [kept[0], *kept[-(4 + MOST_WAITING) :]]


def test_a_point_whose_copy_is_not_whole_is_damaged(tmp_path: Path) -> None:
    first, _ = folders(tmp_path)
    files = WorkFiles(first, print)
    files.begin()
    (files.folder / "one").write_text("1")
    (files.folder / "two").write_text("2")
    state = files.state()
    check_copy(first.job, state)
    (first.resume / "files" / state["copy"] / "two").unlink()
    with pytest.raises(DamagedPoint, match="are incomplete"):
        check_copy(first.job, state)
    shutil.rmtree(first.resume / "files" / state["copy"])
    with pytest.raises(DamagedPoint):
        check_copy(first.job, state)


def test_a_copy_without_files_and_one_of_an_older_version_are_accepted(tmp_path: Path) -> None:
    first, _ = folders(tmp_path)
    files = WorkFiles(first, print)
    files.begin()
    state = files.state()
    (first.resume / "files" / state["copy"]).rmdir()
    check_copy(first.job, state)
    check_copy(first.job, {**state, "copy": "000001"})
    check_copy(first.job, {})


def test_what_is_too_much_is_not_kept_and_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = folders(tmp_path)
    reports: list[str] = []
    files = WorkFiles(first, reports.append)
    files.begin()
    monkeypatch.setattr(work_files, "MOST_BYTES", 5)
    (files.folder / "small").write_text("abc")
    (files.folder / "large").write_text("abcdef")
    files.state()
    state = files.state()
    assert len(reports) == 1
    facts: dict[str, bool] = {}
    again = WorkFiles(second, lambda _, **more: facts.update(more))
    again.begin()
    again.restore(state)
    assert facts == {"exact": False}
    assert sorted(tree(second)) == ["small", "train.py"]
    shutil.rmtree(first.resume)
