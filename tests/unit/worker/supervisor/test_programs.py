"""How much a running program may leave, and which of its reports its worker believes."""

import os

import pytest

from shared.job import Conclusion, Ending, JobError
from shared.settings import Settings
from tests.unit.shared.records import ending, posted, posted_program, taken
from worker.supervisor import programs
from worker.supervisor.clean_up import remove_halves
from worker.supervisor.outcome import Exit, decide
from worker.supervisor.programs import FilesWatch


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(programs, "_LOOK_SECONDS", 0)
    monkeypatch.setattr(programs, "_PART_OF_TIME", float("inf"))


@pytest.mark.usefixtures("at_once")
def test_a_program_that_leaves_too_many_bytes_or_files_is_seen(volume, monkeypatch):
    attempt = taken(posted_program(volume))
    (attempt.path / "files").mkdir()
    watch = FilesWatch(attempt, Settings(program_files_bytes=2 * 1024**2))
    (attempt.path / "files" / "small").write_bytes(os.urandom(1024**2))
    os.link(attempt.path / "files" / "small", attempt.path / "the same")
    (attempt.path / "sparse").touch()
    os.truncate(attempt.path / "sparse", 1024**4)
    assert not watch.is_too_much()
    (attempt.path / "large").write_bytes(os.urandom(1024**2))
    assert watch.is_too_much()
    (attempt.path / "large").unlink()
    monkeypatch.setattr(programs, "MOST_FILES", 3)
    assert watch.is_too_much()


@pytest.mark.usefixtures("at_once")
def test_the_files_of_other_jobs_are_not_counted(volume, monkeypatch):
    monkeypatch.setattr(programs, "MOST_FILES", 0)
    attempt = taken(posted(volume))
    (attempt.path / "checkpoint").touch()
    assert not FilesWatch(attempt, Settings()).is_too_much()


def test_a_program_that_left_too_much_fails_for_good_whatever_it_says_itself(volume):
    attempt = taken(posted_program(volume))
    attempt.conclude(Conclusion(ending=ending("succeeded")))
    end = decide(attempt, Exit(-9, was_killed_because="files"), Settings())
    assert (end.outcome, end.ending.status, end.ending.error.code) == ("finished", "failed", "files_too_large")


def test_a_program_that_meets_an_open_sandbox_is_handed_back(volume):
    attempt = taken(posted_program(volume))
    error = JobError(code="no_box", message="scripts cannot be confined here")
    failed = Ending(status="failed", stop=ending("failed").stop, error=error)
    attempt.conclude(Conclusion(ending=failed, may_retry=True))
    end = decide(attempt, Exit(0), Settings())
    assert (end.outcome, end.ending, end.error.code) == ("handed_back", None, "no_box")


def test_of_the_files_of_a_program_only_those_in_its_temporary_folder_are_removed(volume):
    attempt = taken(posted_program(volume))
    files = attempt.path / "files"
    (files / ".tmp").mkdir(parents=True)
    (files / ".tmp" / "left").touch()
    (files / ".mine.tmp").touch()
    (attempt.path / ".half.tmp").touch()
    remove_halves(attempt)
    assert [path.name for path in files.iterdir()] == [".mine.tmp"]
    assert not (attempt.path / ".half.tmp").exists()
