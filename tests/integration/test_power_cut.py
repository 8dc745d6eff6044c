"""A power cut after every write that reports "it is safe": an ext4 is shut down without its journal and mounted again.

The ext4 is in a file, mounted through a loop device, which needs root; elsewhere the tests say why they are skipped.
"""

import fcntl
import hashlib
import os
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import shared.durable
from shared.durable import create_file, replace_file, sync_file
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset
from tests.unit.shared.records import claim, ending, finished, posted, record, taken

# EXT4_IOC_SHUTDOWN, and its flag that drops what the journal has not written.
_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2


class Disk:
    """An ext4 of its own at `path`."""

    def __init__(self, image: Path, path: Path) -> None:
        self._image = image
        self.path = path

    def mount(self) -> None:
        # By default the journal is written every 5 s, which would save data that was never synced.
        told = _run("mount", "-o", "loop,commit=600", str(self._image), str(self.path))
        if told:
            pytest.skip(f"this machine mounts no loop device: {told}")

    def unmount(self) -> None:
        _run("umount", str(self.path))

    def lose_power(self) -> None:
        """Drop all that is not on the disk yet, then mount the disk again."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        except OSError as error:
            pytest.skip(f"this kernel shuts no filesystem down: {error}")
        finally:
            os.close(descriptor)
        self.unmount()
        self.mount()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a filesystem")
    if shutil.which("mkfs.ext4") is None or shutil.which("mount") is None:
        pytest.skip("there is no mkfs.ext4 or no mount here")
    image, path = tmp_path / "image", tmp_path / "disk"
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    told = _run("mkfs.ext4", "-q", str(image))
    if told:
        pytest.skip(f"no ext4 could be made: {told}")
    disk = Disk(image, path)
    disk.mount()
    yield disk
    disk.unmount()


def _run(*command: str) -> str:
    """Run a command; return its error message if it failed, else nothing."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return (ran.stderr.strip() or f"{command[0]} failed") if ran.returncode else ""


OLD = b"old" * 1000
NEW = b"new!" * 20_000


def no_fsync_of(is_this: Callable[[int], bool]) -> Callable[[int], None]:
    """Return an fsync that leaves out the files whose mode `is_this` accepts."""
    ours = os.fsync

    def fsync(descriptor: int) -> None:
        if not is_this(os.fstat(descriptor).st_mode):
            ours(descriptor)

    return fsync


def test_a_replaced_file_is_the_new_one(disk: Disk) -> None:
    replace_file(disk.path / "file", OLD)
    replace_file(disk.path / "file", NEW)
    disk.lose_power()
    assert (disk.path / "file").read_bytes() == NEW


def test_a_created_file_is_there_and_whole(disk: Disk) -> None:
    assert create_file(disk.path / "file", NEW)
    disk.lose_power()
    assert (disk.path / "file").read_bytes() == NEW
    assert not create_file(disk.path / "file", OLD)


def test_a_job_that_is_stored_is_there_and_marked(disk: Disk) -> None:
    volume = Volume(disk.path / "volume")
    what = record()
    volume.store_job(what)
    disk.lose_power()
    volume = Volume(disk.path / "volume")
    job = volume.job(what.id)
    assert job is not None
    assert job.record() == what
    assert [one.job_id for one in volume.open_jobs()] == [what.id]


def test_every_step_of_a_jobs_life_is_safe_when_it_is_taken(disk: Disk) -> None:
    job = posted(Volume(disk.path / "volume"))
    attempt = job.take(claim(1))
    disk.lose_power()
    assert attempt is not None
    assert attempt.claim() is not None
    job.request_cancel()
    disk.lose_power()
    assert job.cancel() is not None
    attempt.close(finished("cancelled"))
    disk.lose_power()
    end = attempt.end()
    assert end is not None
    assert end.ending == ending("cancelled")
    job.settle(ending("cancelled"), 1)
    disk.lose_power()
    state = job.state()
    assert state is not None
    assert state.status == "cancelled"


def test_a_marker_that_was_taken_away_stays_away(disk: Disk) -> None:
    volume = Volume(disk.path / "volume")
    job = posted(volume)
    taken(job).close(finished())
    volume.close_job(next(volume.open_jobs()))
    disk.lose_power()
    assert list(volume.open_jobs()) == []


def test_a_dataset_that_is_published_is_there_and_whole(disk: Disk) -> None:
    volume = Volume(disk.path / "volume")
    info = put_dataset(volume, learnable_frame(50), "prepared")
    prepared = volume.datasets / ".incoming-1"
    volume.dataset_folder("prepared").rename(prepared)
    for path in prepared.iterdir():
        sync_file(path)
    assert volume.publish_dataset(prepared, "grades")
    disk.lose_power()
    assert volume.dataset_ids() == ["grades"]
    assert hashlib.sha256(volume.data_file("grades").read_bytes()).hexdigest() == info.data_sha256


# Each step of a write is needed: without it a power cut loses something.


def test_without_the_folders_fsync_the_old_file_comes_back(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_file(disk.path / "file", OLD)
    monkeypatch.setattr(shared.durable, "sync_folder", lambda _: None)
    replace_file(disk.path / "file", NEW)
    disk.lose_power()
    assert (disk.path / "file").read_bytes() == OLD


def test_without_the_folders_fsync_a_stored_job_is_lost(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = Volume(disk.path / "volume")
    os.sync()
    monkeypatch.setattr("os.fsync", no_fsync_of(stat.S_ISDIR))
    what = record()
    volume.store_job(what)
    disk.lose_power()
    assert volume.job(what.id) is None


def test_without_the_files_fsync_a_created_file_is_torn(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", no_fsync_of(stat.S_ISREG))
    create_file(disk.path / "file", NEW)
    disk.lose_power()
    assert (disk.path / "file").read_bytes() != NEW
