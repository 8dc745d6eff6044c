"""Files that are whole or absent: with many callers at once, and with the process killed at any system call."""

import errno
import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.durable import (
    create_file,
    encode,
    is_temporary,
    make_folder,
    read_bytes,
    remove_file,
    remove_tree,
    replace_file,
    sync_folder,
)

ROOT = Path(__file__).parents[3]
CALLERS = 8


def test_of_many_who_create_one_file_at_once_exactly_one_is_told_so_and_its_content_is_whole(tmp_path):
    for turn in range(20):
        path = tmp_path / f"claim-{turn}.json"
        gate = threading.Barrier(CALLERS)
        contents = [bytes([65 + caller]) * 50_000 for caller in range(CALLERS)]

        def create(content, path=path, gate=gate):
            gate.wait()
            return create_file(path, content)

        with ThreadPoolExecutor(CALLERS) as pool:
            told = list(pool.map(create, contents))
        assert told.count(True) == 1
        assert path.read_bytes() == contents[told.index(True)]
    assert not [entry for entry in tmp_path.iterdir() if is_temporary(entry)]


def test_a_file_that_is_there_is_not_created_again_and_keeps_its_content(tmp_path):
    path = tmp_path / "end.json"
    assert create_file(path, b"first")
    assert not create_file(path, b"second")
    assert path.read_bytes() == b"first"


def test_a_link_that_a_network_filesystem_repeated_counts_as_ours(tmp_path, monkeypatch):
    # nfs(5): the answer to the first LINK was lost, and the repeated one reports that the name exists.
    link = os.link

    def link_twice(source, target):
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", link_twice)
    assert create_file(tmp_path / "claim.json", b"mine")


def test_a_draft_stays_as_another_name_of_the_file_and_nothing_else_is_left(tmp_path):
    path, draft = tmp_path / "job" / "spec.json", tmp_path / "open" / "5-job"
    path.parent.mkdir()
    draft.parent.mkdir()
    assert create_file(path, b"mine", draft=draft)
    assert path.samefile(draft)
    assert path.read_bytes() == b"mine"
    assert [entry.name for folder in (path.parent, draft.parent) for entry in folder.iterdir()] == [
        "spec.json",
        "5-job",
    ]


def test_a_draft_that_another_has_made_is_left_as_it_is(tmp_path):
    path, draft = tmp_path / "spec.json", tmp_path / "5-job"
    draft.write_bytes(b"to")
    assert create_file(path, b"mine", draft=draft)
    assert draft.read_bytes() == b"to"
    assert path.read_bytes() == b"mine"
    other = tmp_path / "5-other"
    assert not create_file(path, b"another's", draft=other)
    assert path.read_bytes() == b"mine"


def test_a_file_is_created_where_the_filesystem_does_not_link_from_folder_to_folder(tmp_path, monkeypatch):
    path, draft = tmp_path / "job" / "spec.json", tmp_path / "open" / "5-job"
    path.parent.mkdir()
    draft.parent.mkdir()
    link = os.link

    def within_a_folder(source, target):
        if Path(source).parent != Path(target).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        link(source, target)

    monkeypatch.setattr(os, "link", within_a_folder)
    assert create_file(path, b"mine", draft=draft)
    assert path.read_bytes() == b"mine"
    assert draft.exists()
    assert list(path.parent.iterdir()) == [path]


def test_replacing_puts_the_new_content_in_place_of_the_old(tmp_path):
    path = tmp_path / "heartbeat.json"
    replace_file(path, b"1")
    replace_file(path, b"2")
    assert path.read_bytes() == b"2"
    assert [entry.name for entry in tmp_path.iterdir()] == ["heartbeat.json"]


def test_readers_of_a_file_that_is_being_replaced_only_ever_see_whole_contents(tmp_path):
    path = tmp_path / "manifest.json"
    whole = [bytes([65 + turn % 20]) * 30_000 for turn in range(60)]
    replace_file(path, whole[0])
    done = threading.Event()

    def read():
        seen = set()
        while not done.is_set():
            seen.add(path.read_bytes())
        return seen

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for content in whole:
            replace_file(path, content)
        done.set()
        assert set().union(*(reader.result() for reader in readers)) <= set(whole)


@pytest.mark.parametrize("put", [create_file, replace_file])
def test_a_write_that_fails_leaves_nothing_beside_it(tmp_path, put, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        put(tmp_path / "spec.json", b"content")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("put", [create_file, replace_file])
def test_the_content_is_on_the_disk_before_its_name_and_the_name_before_the_return(tmp_path, put, monkeypatch):
    done = []
    fsync, link, rename = os.fsync, os.link, os.replace

    def recorded(name, call):
        def run(*arguments):
            done.append(name)
            return call(*arguments)

        return run

    def seen_fsync(descriptor):
        kind = "folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file"  # noqa: PTH112
        done.append(f"fsync {kind}")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "link", recorded("name", link))
    monkeypatch.setattr(os, "replace", recorded("name", rename))
    put(tmp_path / "spec.json", b"content")
    assert done == ["fsync file", "name", "fsync folder"]


def test_a_folder_is_made_with_all_those_above_it_and_making_it_again_does_nothing(tmp_path):
    folder = tmp_path / "jobs" / "aa" / "job"
    make_folder(folder)
    make_folder(folder)
    assert folder.is_dir()


def test_each_new_folder_is_made_durable_in_the_one_above_it(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("shared.durable.sync_folder", synced.append)
    make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]


def test_many_may_make_one_folder_at_once(tmp_path):
    folder = tmp_path / "attempts" / "1"
    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(make_folder, [folder] * CALLERS))
    assert folder.is_dir()


def test_a_removed_file_is_gone_and_may_be_removed_again(tmp_path):
    path = tmp_path / "marker"
    create_file(path, b"")
    remove_file(path)
    remove_file(path)
    assert read_bytes(path) is None


def test_what_is_no_folder_is_not_synced_as_one(tmp_path):
    create_file(tmp_path / "file", b"")
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")


def test_a_document_is_one_line_of_utf_8_and_never_holds_nan():
    assert encode({"name": "Grüner\nVeltliner"}) == '{"name":"Grüner\\nVeltliner"}\n'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode({"loss": float("nan")})


@given(st.text(alphabet=st.characters(exclude_characters="/\x00", codec="utf-8"), min_size=1, max_size=40))
def test_no_name_that_the_volume_uses_is_taken_for_the_remains_of_a_write(name):
    assert not is_temporary(Path(name.lstrip(".") or "x"))


# A process that dies between any two system calls

WRITES = {"replace_file": b"old", "create_file": None}
_PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from shared import durable
getattr(durable, sys.argv[2])(Path(sys.argv[3]), b"new" * 20000)
"""
_CALLS = ("write", "fsync", "rename", "link", "unlink", "openat")


def strace(arguments, function, target):
    program = [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, str(ROOT), function, str(target)]
    return subprocess.run(
        ["strace", "-f", "-qq", *arguments, *program], check=False, capture_output=True, timeout=20, env={}
    )


def why_no_strace():
    if shutil.which("strace") is None:
        return "strace is not installed"
    probe = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=getpid:signal=KILL:when=1", "true"]
    end = subprocess.run(probe, check=False, capture_output=True, timeout=20)
    return "" if end.returncode == 0 else f"strace may not trace here: {end.stderr.decode()[:200]}"


def kill_points(function, target, log):
    """Return each system call of a whole write as (its name, its number among the process's calls of that name)."""
    end = strace(["-o", str(log), "-e", f"trace={','.join(_CALLS)}"], function, target)
    assert end.returncode == 0, end.stderr.decode()
    counted, found = dict.fromkeys(_CALLS, 0), []
    for line in log.read_text().splitlines():
        call = re.match(r"(?:\d+ +)?(\w+)\(", line)
        if call is None:
            continue
        counted[call[1]] += 1
        if found or f".{target.name}." in line:
            found.append((call[1], counted[call[1]]))
    return found


@pytest.mark.parametrize("function", WRITES)
def test_a_process_killed_at_any_system_call_leaves_the_old_content_or_the_new_one_whole(tmp_path, function):
    if reason := why_no_strace():
        pytest.skip(reason)
    old, new = WRITES[function], b"new" * 20_000
    target = tmp_path / "volume" / "file.json"
    target.parent.mkdir()

    def begin():
        for entry in target.parent.iterdir():
            entry.unlink()
        if old is not None:
            target.write_bytes(old)

    begin()
    points = kill_points(function, target, tmp_path / "log")
    assert {name for name, _ in points} >= {"openat", "write", "fsync", "rename" if old else "link"}
    seen = []
    for call, number in points:
        begin()
        end = strace(["-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={number}"], function, target)
        assert end.returncode != 0, f"was not killed at {call} {number}"
        seen.append(read_bytes(target))
        assert seen[-1] in (old, new), f"torn by a kill at {call} {number}"
        assert all(is_temporary(entry) for entry in target.parent.iterdir() if entry != target)
    # An early kill leaves the old content and a late one the new content, with one moment between them.
    assert seen[0] == old
    assert seen[-1] == new
    assert seen == sorted(seen, key=lambda content: content == new)


def test_a_tree_is_removed_however_deep_it_is_and_through_no_link(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept.txt").write_text("kept")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "outside")
    here = os.open(tmp_path / "tree", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=here)
        os.close(os.open("file", os.O_CREAT, dir_fd=here))
        above, here = here, os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(above)
    os.close(here)
    remove_tree(tmp_path / "tree")
    assert [path.name for path in tmp_path.rglob("*")] == ["outside", "kept.txt"]
