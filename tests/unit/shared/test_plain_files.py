"""A file of the volume is opened only if it is a regular file, short enough, and reached without a link."""

import os
import socket
import threading

import pytest

from shared.document import UnusableDocument
from shared.durable import read_bytes
from shared.plain_files import guard, open_plain, read_plain


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "volume"
    (folder / "jobs" / "a").mkdir(parents=True)
    (folder / "jobs" / "a" / "spec.json").write_bytes(b"{}")
    guard(folder)
    return folder


@pytest.fixture
def secret(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / "spec.json"
    file.write_bytes(b"secret")
    return file


def is_refused(path):
    """Whether the path is refused at once: a FIFO would block the thread forever."""
    told = []

    def read():
        try:
            told.append(read_plain(path))
        except UnusableDocument as error:
            told.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(120)
    return isinstance(told[0], UnusableDocument) if told else False


def test_a_plain_file_is_read_and_an_absent_one_is_none(root):
    assert read_bytes(root / "jobs" / "a" / "spec.json") == b"{}"
    assert read_bytes(root / "jobs" / "a" / "result.json") is None
    assert read_bytes(root / "jobs" / "b" / "spec.json") is None


def test_a_link_in_the_place_of_the_file_is_refused(root, secret):
    (root / "jobs" / "a" / "link.json").symlink_to(secret)
    assert is_refused(root / "jobs" / "a" / "link.json")


@pytest.mark.parametrize("place", ["jobs", "jobs/b"])
def test_a_link_in_the_place_of_a_folder_above_is_refused(root, secret, place):
    (root / "jobs").rename(root / "moved")
    (root / place).parent.mkdir(exist_ok=True)
    (root / place).symlink_to(secret.parent)
    assert is_refused(root / place / "spec.json")


def test_a_way_out_of_the_folder_is_refused(root, secret):
    assert is_refused(f"{root}/jobs/../../elsewhere/spec.json")


def test_fifos_folders_sockets_and_devices_are_refused_and_nothing_waits(root):
    os.mkfifo(root / "fifo")
    (root / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(root / "socket"))
        assert [is_refused(root / name) for name in ("fifo", "folder", "socket")] == [True] * 3
    try:
        os.mknod(root / "zero", 0o20666, os.makedev(1, 5))
    except PermissionError:
        return  # only root may make devices
    assert is_refused(root / "zero")


def test_a_file_that_is_too_long_is_refused_before_it_is_read(root):
    with (root / "huge").open("wb") as file:
        file.truncate(2**40)
    assert is_refused(root / "huge")
    assert read_plain(root / "jobs" / "a" / "spec.json", 2) == b"{}"
    with pytest.raises(UnusableDocument, match=r"spec.json has 2 bytes, expected at most 1"):
        read_plain(root / "jobs" / "a" / "spec.json", 1)


def test_a_link_above_the_volume_is_the_owners(tmp_path, root):
    (tmp_path / "here").symlink_to(root)
    guard(tmp_path / "here")
    assert read_plain(tmp_path / "here" / "jobs" / "a" / "spec.json") == b"{}"


def test_an_error_names_the_whole_path(root):
    with pytest.raises(FileNotFoundError) as raised:
        open_plain(root / "jobs" / "gone")
    assert raised.value.filename == str(root / "jobs" / "gone")
