"""A storage failure is identified by the path that failed and by its error number."""

import errno
import os
from pathlib import Path

import pytest

from shared.durable import create_file, replace_file
from shared.events import Event, EventWriter
from shared.storage import at_path, classify_storage_error, is_storage_error, storage_message

ROOT = Path("/volume")


@pytest.mark.parametrize(
    ("number", "path", "code"),
    [
        (errno.ENOSPC, "/volume/jobs/ab/spec.json", "volume_full"),
        (errno.EDQUOT, "/volume", "volume_full"),
        (errno.EIO, "/volume/jobs/x", "volume_error"),
        (errno.ESTALE, "/volume/jobs/x", "volume_error"),
        (errno.EROFS, "/volume/jobs/x", "volume_error"),
        (errno.ENOENT, "/volume/jobs/x", "volume_error"),
        (errno.ENOSPC, "/tmp/fitstop-x/model.keras", "worker_disk_full"),
        (errno.EROFS, "/tmp/x", "worker_disk_error"),
        (errno.ENOSPC, "/volume-of-others/x", "worker_disk_full"),
        (errno.ENOSPC, "/volume/../tmp/x", "worker_disk_full"),
        (errno.EIO, b"/volume/x", "volume_error"),
        (errno.EIO, None, "volume_error"),
    ],
)
def test_the_path_says_whose_storage_failed_and_the_number_how(number: int, path: object, code: str) -> None:
    error = OSError(number, os.strerror(number), path)
    assert classify_storage_error(error, ROOT) == code
    assert is_storage_error(error)


def test_of_two_paths_either_counts() -> None:
    error = OSError(errno.EIO, "I/O", "/tmp/a", None, "/volume/b")
    assert classify_storage_error(error, ROOT) == "volume_error"


def test_a_connection_that_fails_is_no_storage() -> None:
    assert not is_storage_error(ConnectionResetError(errno.ECONNRESET, "reset"))
    assert not is_storage_error(OSError("a library's own words"))


def test_an_error_gets_the_path_that_is_worked_on_and_keeps_its_own() -> None:
    with pytest.raises(OSError, match="quota") as plain, at_path(Path("/volume/a")):
        raise OSError(errno.EDQUOT, "quota")
    assert plain.value.filename == "/volume/a"
    with pytest.raises(OSError, match="quota") as named, at_path(Path("/volume/a")):
        raise OSError(errno.EDQUOT, "quota", "/tmp/b")
    assert named.value.filename == "/tmp/b"


def test_a_full_disk_is_named_by_whatever_writes_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with EventWriter(tmp_path / "events.jsonl") as events:
        monkeypatch.setattr(os, "write", refuse)
        monkeypatch.setattr(os, "fsync", refuse)
        for act in (
            lambda: replace_file(tmp_path / "a.json", b"a"),
            lambda: create_file(tmp_path / "b.json", b"b"),
            lambda: events.write([Event("state", "x", {})]),
            events.sync,
        ):
            with pytest.raises(OSError, match="No space") as failed:
                act()
            assert classify_storage_error(failed.value, tmp_path) == "volume_full"
            assert classify_storage_error(failed.value, tmp_path / "elsewhere") == "worker_disk_full"


def test_the_sentence_names_the_systems_reason_and_no_path() -> None:
    error = OSError(errno.EIO, "Input/output error", "/volume/secret")
    assert storage_message("volume_error", error) == "the volume could not be read or written: Input/output error"
