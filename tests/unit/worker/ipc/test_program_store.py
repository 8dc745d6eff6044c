"""The store of compiled programs: it returns what was stored under that name and compiler, or nothing."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from worker.ipc import program_store
from worker.ipc.program_store import empty, make_store, put, restore

CONTENT = bytes(range(256)) * 16
NAME = "threads-2-ab__1__2__XLA_CPU_JIT.pb"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_store(tmp_path / "stores" / "compiler")


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def kept(store: Path, name: str = NAME, content: bytes = CONTENT) -> Path:
    """Store a program and return its file."""
    written = store.parent.parent / name
    written.write_bytes(content)
    put(store, written)
    return store / name


def restored(store: Path, into: Path, prefix: str = "threads-2-ab_") -> dict[str, bytes]:
    """Return what a training process would read."""
    names = restore(store, prefix, into)
    assert names == {file.name for file in into.iterdir()}
    return {file.name: file.read_bytes() for file in into.iterdir()}


def test_what_is_stored_comes_out_again_for_processes_of_the_same_prefix_alone(store, into):
    kept(store)
    kept(store, "threads-3-ab__1__2__XLA_CPU_JIT.pb")
    assert restored(store, into) == {NAME: CONTENT}


def test_the_program_that_was_first_stays_since_a_resumed_job_may_have_begun_with_it(store, into):
    kept(store)
    kept(store, content=b"compiled at the same time by another process")
    assert restored(store, into) == {NAME: CONTENT}


def test_nobody_else_may_look_into_a_store(store):
    assert store.stat().st_mode & 0o777 == store.parent.stat().st_mode & 0o777 == 0o700


def test_whatever_single_change_a_file_has_it_is_not_restored_but_removed(store, into):
    chance = random.Random(22)
    whole = kept(store).read_bytes()
    for _ in range(100):
        place, bit = chance.randrange(len(whole)), 1 << chance.randrange(8)
        changed = bytearray(whole)
        changed[place] ^= bit
        (store / NAME).write_bytes(changed)
        assert restored(store, into) == {}, f"bit {bit} of byte {place}"
        assert list(store.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, 82, 83, 84, 1000, -1])
def test_a_torn_file_is_not_restored(store, into, size):
    file = kept(store)
    file.write_bytes(file.read_bytes()[:size])
    assert restored(store, into) == {}


def test_files_swapped_between_names_and_between_compilers_are_not_restored(store, into, tmp_path):
    other_name = "threads-2-ab__1__3__XLA_CPU_JIT.pb"
    shutil.copy(kept(store), store / other_name)
    other = make_store(tmp_path / "stores" / "another")
    shutil.copy(store / NAME, other / NAME)
    assert restore(other, "threads-2-ab_", into) == frozenset()
    assert restored(store, into) == {NAME: CONTENT}


@pytest.mark.parametrize("kind", ["link", "link to nothing", "folder", "fifo", "longer than may be"])
def test_what_is_no_plain_file_is_not_restored(store, into, tmp_path, kind, monkeypatch):
    file = kept(store)
    if kind == "longer than may be":
        monkeypatch.setattr(program_store, "_MOST_STORED_BYTES", 100)
    else:
        file.rename(tmp_path / "elsewhere")
    if kind.startswith("link"):
        file.symlink_to(tmp_path / ("elsewhere" if kind == "link" else "missing"))
    elif kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    assert restored(store, into) == {}


def test_the_oldest_programs_go_first_those_of_other_compilers_too(store, into, tmp_path, monkeypatch):
    other = make_store(tmp_path / "stores" / "another")
    files = [kept(folder, f"threads-2-ab__{number}") for number in range(3) for folder in (store, other)]
    for number, file in enumerate(files):
        os.utime(file, (number, number))
    monkeypatch.setattr(program_store, "_MOST_STORED_BYTES", 3 * files[0].stat().st_size)
    newest = kept(store)
    assert sorted(tmp_path.glob("stores/*/*")) == sorted([*files[-2:], newest])


def test_where_there_are_too_many_to_read_for_each_job_the_newest_are_read(store, into, monkeypatch):
    files = [kept(store, f"threads-2-ab__{number}") for number in range(3)]
    for number, file in enumerate(files):
        os.utime(file, (number, number))
    monkeypatch.setattr(program_store, "_MOST_RESTORED_BYTES", 2 * files[0].stat().st_size)
    assert sorted(restored(store, into)) == ["threads-2-ab__1", "threads-2-ab__2"]


def test_a_store_that_somebody_has_cleared_away_gives_nothing(store, into):
    shutil.rmtree(store)
    empty(store)
    assert restored(store, into) == {}


def test_what_a_killed_process_left_is_no_program_and_goes_with_the_others(store, into):
    (store / f".{NAME}.abcdef.tmp").write_bytes(kept(store).read_bytes()[:100])
    assert restored(store, into) == {NAME: CONTENT}
    empty(store)
    assert list(store.iterdir()) == []


KILLED_WHILE_STORING = """
import os, signal, sys
from pathlib import Path
from worker.ipc.program_store import make_store, put, restore

folder, name = Path(sys.argv[1]), sys.argv[2]

def die_at(number):
    left = [number]
    for call in ("open", "write", "fsync", "link", "unlink"):
        def operation(*arguments, _ours=getattr(os, call), **options):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return _ours(*arguments, **options)
        setattr(os, call, operation)

number = restored = 0
while True:
    number += 1
    store, into = make_store(folder / f"stores-{number}" / "compiler"), folder / f"into-{number}"
    into.mkdir()
    child = os.fork()
    if child == 0:
        die_at(number)
        put(store, folder / name)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
    found = restore(store, "threads", into)
    assert not found or (into / name).read_bytes() == (folder / name).read_bytes()
    restored += len(found)
print(number, restored)
"""


def test_a_process_that_is_killed_at_any_operation_while_it_stores_a_program_leaves_it_whole_or_not_at_all(tmp_path):
    (tmp_path / NAME).write_bytes(CONTENT)
    command = [sys.executable, "-c", KILLED_WHILE_STORING, str(tmp_path), NAME]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kills, restored = map(int, done.stdout.split())
    assert kills > 5
    assert 0 < restored < kills
