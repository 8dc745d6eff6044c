"""The variables for a worker's kept programs, and its folder for them: who owns it, and when it is removed."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from worker.ipc import kept_programs
from worker.ipc.kept_programs import STORE_VARIABLE, VARIABLE, KeptPrograms, give_up, make_process_folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def above(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def store_of(programs: KeptPrograms) -> Path:
    return Path(programs.environment()[STORE_VARIABLE])


def become_process(programs: KeptPrograms, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in programs.environment().items():
        monkeypatch.setenv(name, value)
    return make_process_folder()


def test_two_workers_share_a_store_and_each_has_a_folder_of_its_own(cache, above):
    first, second = KeptPrograms(cache, "compiler", above), KeptPrograms(cache, "compiler", above)
    assert store_of(first) == store_of(second) == cache / "compiled-programs" / "compiler"
    assert first.environment()[VARIABLE] != second.environment()[VARIABLE]


def test_a_store_stays_when_its_worker_goes_and_the_workers_folder_goes(cache, above):
    programs = KeptPrograms(cache, "compiler", above)
    store = store_of(programs)
    (store / "threads-1").touch()
    del programs
    assert list(above.iterdir()) == []
    assert [file.name for file in store_of(KeptPrograms(cache, "compiler", above)).iterdir()] == ["threads-1"]


def test_another_compiler_has_another_store(cache, above):
    assert store_of(KeptPrograms(cache, "one", above)) != store_of(KeptPrograms(cache, "another", above))


def test_where_the_compiler_is_unknown_the_store_goes_with_the_worker(cache, above):
    programs = KeptPrograms(cache, None, above)
    assert store_of(programs).is_relative_to(programs.environment()[VARIABLE])
    assert store_of(programs).is_dir()
    assert not cache.exists()


@pytest.mark.parametrize("harm", ["a file", "a link", "open to others"])
def test_where_others_may_have_put_programs_the_store_goes_with_the_worker(cache, above, tmp_path, harm, caplog):
    folder = cache / "compiled-programs"
    cache.mkdir()
    if harm == "a file":
        folder.touch()
    elif harm == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o770)
    programs = KeptPrograms(cache, "compiler", above)
    assert store_of(programs).is_relative_to(programs.environment()[VARIABLE])
    assert str(folder) in caplog.text


def test_a_folder_that_nobody_holds_is_removed_by_the_next_worker(cache, above):
    left = above / "fitstop-programs-left"
    left.mkdir()
    (left / "threads-1").touch()
    (above / "another").mkdir()
    programs = KeptPrograms(cache, "compiler", above)
    assert sorted(above.iterdir()) == sorted([Path(programs.environment()[VARIABLE]), above / "another"])


def test_the_folder_of_a_training_process_stays_while_that_runs_and_then_goes(cache, above, monkeypatch):
    programs = KeptPrograms(cache, "compiler", above)
    folder = become_process(programs, monkeypatch)
    programs.environment()
    assert folder.exists()
    held = next(one for one in Path("/proc/self/fd").iterdir() if one.exists() and one.resolve() == folder)
    os.close(int(held.name))
    programs.environment()
    assert not folder.exists()


def test_a_folder_that_is_taken_for_an_abandoned_one_before_it_is_locked_is_made_again(cache, above, monkeypatch):
    lock, removed = fcntl.flock, []

    def lock_late(descriptor: int, how: int) -> None:
        if not removed:
            removed.append(Path(f"/proc/self/fd/{descriptor}").readlink())
            removed[0].rmdir()
        lock(descriptor, how)

    programs = KeptPrograms(cache, "compiler", above)
    monkeypatch.setattr(fcntl, "flock", lock_late)
    monkeypatch.setattr(kept_programs, "_remove_abandoned", lambda _: None)
    folder = become_process(programs, monkeypatch)
    assert folder.exists()
    assert folder not in removed


def test_what_is_forgotten_is_compiled_again_and_kept_again(cache, above):
    programs = KeptPrograms(cache, "compiler", above)
    (store_of(programs) / "threads-1").touch()
    programs.forget()
    assert list(store_of(programs).iterdir()) == []


def test_after_a_process_has_given_up_the_store_is_empty_and_no_other_of_this_worker_uses_it(cache, above, monkeypatch):
    programs = KeptPrograms(cache, "compiler", above)
    become_process(programs, monkeypatch)
    (store_of(programs) / "threads-1").touch()
    assert give_up()
    assert programs.environment() == {}
    programs.forget()
    assert programs.environment() == {}
    assert list(store_of(KeptPrograms(cache, "compiler", above)).iterdir()) == []


def test_a_folder_that_somebody_has_cleared_away_does_no_harm(cache, above, monkeypatch):
    programs = KeptPrograms(cache, "compiler", above)
    become_process(programs, monkeypatch)
    shutil.rmtree(above)
    shutil.rmtree(cache)
    assert programs.environment() == {}
    programs.forget()
    assert not give_up(), "the worker could not be informed, and would hand the job back for ever"


def test_a_process_without_any_has_nothing_to_give_up(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not give_up()


def test_where_the_disk_is_nearly_full_nothing_is_kept(cache, above, monkeypatch):
    programs = KeptPrograms(cache, "compiler", above)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    assert programs.environment() == {}


def test_a_folder_that_cannot_be_made_keeps_no_worker_from_its_work(cache, above, caplog):
    programs = KeptPrograms(cache, "compiler", above / "missing")
    assert programs.environment() == {}
    programs.forget()
    assert "each job compiles again" in caplog.text


@pytest.mark.parametrize("name", ["with space", "with\ttab"])
def test_a_folder_whose_name_tensorflow_would_take_for_two_flags_is_not_used(cache, above, name):
    (above / name).mkdir()
    assert KeptPrograms(cache, "compiler", above / name).environment() == {}
