"""The folder of compiled programs: whose it is, how much it holds, and when nobody is told of it."""

import os
import shutil
from pathlib import Path

import pytest

from worker.ipc import kept_programs
from worker.ipc.kept_programs import VARIABLE, KeptPrograms, give_up


def folder_of(programs: KeptPrograms) -> Path:
    return Path(programs.environment()[VARIABLE])


def test_two_workers_have_two_folders_and_take_none_from_each_other(tmp_path):
    first, second = KeptPrograms(tmp_path), KeptPrograms(tmp_path)
    assert folder_of(first) != folder_of(second)
    assert folder_of(first).is_dir()


def test_a_folder_that_nobody_holds_is_removed_by_the_next_worker(tmp_path):
    left = tmp_path / "fitstop-programs-left"
    left.mkdir()
    (left / "threads-1").touch()
    (tmp_path / "another").mkdir()
    programs = KeptPrograms(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([folder_of(programs), tmp_path / "another"])


def test_the_oldest_programs_go_where_there_are_too_many(tmp_path):
    programs = KeptPrograms(tmp_path)
    files = [folder_of(programs) / f"threads-{number}" for number in range(kept_programs._MOST_FILES + 3)]
    for number, file in enumerate(files):
        file.touch()
        os.utime(file, (number, number))
    assert sorted(folder_of(programs).iterdir()) == sorted(files[3:])


def test_what_is_forgotten_is_compiled_anew_and_kept_again(tmp_path):
    programs = KeptPrograms(tmp_path)
    (folder_of(programs) / "threads-1").touch()
    programs.forget()
    assert list(folder_of(programs).iterdir()) == []


def test_after_a_child_has_given_up_no_other_is_told_of_them(tmp_path, monkeypatch):
    programs = KeptPrograms(tmp_path)
    monkeypatch.setenv(VARIABLE, str(folder_of(programs)))
    assert give_up()
    assert programs.environment() == {}
    programs.forget()
    assert programs.environment() == {}


def test_a_folder_that_somebody_has_cleared_away_does_no_harm(tmp_path, monkeypatch):
    programs = KeptPrograms(tmp_path)
    folder = folder_of(programs)
    shutil.rmtree(folder)
    assert programs.environment() == {}
    programs.forget()
    monkeypatch.setenv(VARIABLE, str(folder))
    assert not give_up(), "the worker could not be told, and would hand the job back for ever"


def test_a_file_that_goes_while_the_folder_is_looked_through_does_no_harm(tmp_path):
    programs = KeptPrograms(tmp_path)
    (folder_of(programs) / "threads-1.tmp").symlink_to("gone")
    assert folder_of(programs).is_dir()
    programs.forget()
    assert list(folder_of(programs).iterdir()) == []


def test_a_child_without_any_has_nothing_to_give_up(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not give_up()


def test_where_the_disk_is_nearly_full_nothing_is_kept(tmp_path, monkeypatch):
    programs = KeptPrograms(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    assert programs.environment() == {}


def test_a_folder_that_cannot_be_made_keeps_no_worker_from_its_work(tmp_path, caplog):
    programs = KeptPrograms(tmp_path / "missing")
    assert programs.environment() == {}
    programs.forget()
    assert "each job compiles again" in caplog.text


@pytest.mark.parametrize("name", ["with space", "with\ttab"])
def test_a_folder_whose_name_tensorflow_would_take_for_two_flags_is_not_told(tmp_path, name):
    (tmp_path / name).mkdir()
    programs = KeptPrograms(tmp_path / name)
    assert programs.environment() == {}


def test_a_folder_goes_with_its_worker(tmp_path):
    programs = KeptPrograms(tmp_path)
    folder = folder_of(programs)
    (folder / "threads-1").touch()
    del programs
    assert not folder.exists()
