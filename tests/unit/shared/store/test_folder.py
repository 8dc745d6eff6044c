"""What only a store in a folder can do: links, times, and cleaning up after a killed process."""

import os
from pathlib import Path

import pytest

from shared.plain_files import UnusableDocument
from shared.store.folder import FolderStore


def test_no_link_below_the_folder_is_followed(tmp_path: Path) -> None:
    secret = tmp_path / "outside"
    secret.mkdir()
    (secret / "file").write_bytes(b"secret")
    store = FolderStore(tmp_path / "store")
    store.create("real/file", b"1")
    (store.root / "link").symlink_to(secret)
    (store.root / "real" / "other").symlink_to(secret / "file")
    os.mkfifo(store.root / "real" / "pipe")
    assert [entry.name for entry in store.list()] == ["real/file"]
    for call in (lambda: store.read("link/file"), lambda: store.read("real/other"), lambda: store.read("real/pipe")):
        with pytest.raises(UnusableDocument):
            call()
    for write in (lambda: store.create("link/new", b""), lambda: store.replace("link/file", [b""])):
        with pytest.raises(UnusableDocument):
            write()
    assert [(path.name, path.read_bytes()) for path in secret.iterdir()] == [("file", b"secret")]


def test_a_file_has_the_time_that_it_was_given(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.replace("a/b", [b"1"], modified_ns=1_700_000_000_123_456_789)
    assert [entry.modified_ns for entry in store.list()] == [1_700_000_000_123_456_789]


def test_what_a_killed_write_leaves_is_in_no_list_and_is_removed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.create("a/.theirs.tmp", b"a script's own")
    (tmp_path / "a" / ".data.parquet.0123456789ab.tmp").write_bytes(b"half")
    assert [entry.name for entry in store.list()] == ["a/.theirs.tmp"]
    store.remove_leftovers()
    assert [path.name for path in (tmp_path / "a").iterdir()] == [".theirs.tmp"]


def test_a_folder_goes_with_its_last_file(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.create("a/b/c", b"")
    store.create("a/d", b"")
    store.remove("a/b/c")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["d"]
    store.remove("a/d")
    assert list(tmp_path.iterdir()) == []
