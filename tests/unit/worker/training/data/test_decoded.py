"""The cache of decoded images: whole or absent, decoded once, and the least recently used is removed first."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.settings import Settings
from shared.storage import classify_storage_error
from shared.volume import Volume
from tests.support.kinds import digit_images, put_images
from tests.support.small_disk import NoMount, SmallDisk
from worker.training.data.decoded import find_decoded
from worker.training.prepare_images import Preparation

SMALL = Preparation(16, 16, 1, "crop")
COUNT = 60
BYTES = COUNT * 16 * 16
# Dies in a thread that decodes, at the image with that number.
KILLED = """
import os, signal, sys
from pathlib import Path
from shared.settings import Settings
from worker.training.data.decoded import find_decoded
from worker.training.prepare_images import Preparation
ours, left = Preparation.decode, int(sys.argv[3])
def decode(self, content):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return ours(self, content)
Preparation.decode = decode
find_decoded(Path(sys.argv[1]), "a" * 64, Preparation(16, 16, 1, "crop"), Settings(cache=Path(sys.argv[2])))
"""


@pytest.fixture
def encoded(volume: Volume) -> Path:
    put_images(volume, digit_images(COUNT))
    return volume.datasets / "digits" / "data.parquet"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def find(encoded: Path, cache: Path, sha256: str = "a" * 64, **settings: Any) -> tuple[Any, int]:
    pixels, facts = find_decoded(encoded, sha256, SMALL, Settings(cache=cache, **settings))
    assert facts["bytes"] == BYTES
    return pixels, facts["images"]


def files(cache: Path, ending: str = "npy") -> list[str]:
    return sorted(one.name[0] for one in (cache / "images").glob(f"*.{ending}"))


def test_images_are_decoded_once_and_then_mapped(encoded: Path, cache: Path) -> None:
    first, decoded = find(encoded, cache)
    again, decoded_again = find(encoded, cache)
    assert (decoded, decoded_again) == (COUNT, 0)
    assert isinstance(again, np.memmap)
    assert not again.flags.writeable
    assert np.array_equal(first, again)
    assert again.dtype == np.uint8
    assert again.shape == (COUNT, 16, 16, 1)


def test_a_size_and_a_way_of_resizing_have_files_of_their_own(encoded: Path, cache: Path) -> None:
    for preparation in (
        SMALL,
        Preparation(8, 16, 1, "crop"),
        Preparation(16, 16, 3, "crop"),
        Preparation(16, 16, 1, "pad"),
    ):
        pixels, _ = find_decoded(encoded, "a" * 64, preparation, Settings(cache=cache))
        assert pixels.shape[1:] == (preparation.height, preparation.width, preparation.channels)
    assert len(files(cache)) == 4


def test_a_process_that_is_killed_while_it_decodes_leaves_nothing_that_counts(encoded: Path, cache: Path) -> None:
    untouched, _ = find(encoded, cache.with_name("another"))
    for image in (1, COUNT // 2, COUNT):
        died = subprocess.run([sys.executable, "-c", KILLED, str(encoded), str(cache), str(image)], check=False)
        assert died.returncode == -signal.SIGKILL
        assert files(cache) == []
    assert len(files(cache, "draft")) == 1, "each takes the place of the one before it"
    pixels, decoded = find(encoded, cache)
    assert decoded == COUNT
    assert np.array_equal(pixels, untouched)
    assert files(cache, "draft") == []


def test_what_a_killed_process_left_of_other_images_is_removed(encoded: Path, cache: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(encoded), str(cache), "9"], check=False)
    assert files(cache, "draft") == ["a"]
    find(encoded, cache, "b" * 64)
    assert files(cache, "draft") == []


def test_two_slots_decode_once(encoded: Path, cache: Path) -> None:
    counts: list[int] = []
    slots = [threading.Thread(target=lambda: counts.append(find(encoded, cache)[1])) for _ in range(3)]
    for slot in slots:
        slot.start()
    for slot in slots:
        slot.join()
    assert sorted(counts) == [0, 0, COUNT]


def test_the_least_recently_used_goes_first(encoded: Path, cache: Path) -> None:
    room = int(2.5 * BYTES)
    for number, name in enumerate("abc"):
        find(encoded, cache, name * 64, cache_bytes=room)
        for file in (cache / "images").glob(f"{name}*.npy"):
            os.utime(file, (number, number))
        if name == "b":
            find(encoded, cache, "a" * 64, cache_bytes=room)
    assert files(cache) == ["a", "c"], "b was not used since"
    _, decoded = find(encoded, cache, "a" * 64, cache_bytes=room)
    assert decoded == 0


def test_images_that_are_larger_than_the_cache_are_decoded_all_the_same(encoded: Path, cache: Path) -> None:
    find(encoded, cache, "a" * 64)
    pixels, decoded = find(encoded, cache, "b" * 64, cache_bytes=1)
    assert decoded == COUNT
    assert files(cache) == ["b"]
    assert pixels.any()


def test_images_that_another_process_removes_stay_readable_and_are_decoded_again(encoded: Path, cache: Path) -> None:
    pixels, _ = find(encoded, cache)
    before = np.array(pixels)
    (removed,) = (cache / "images").glob("*.npy")
    removed.unlink()
    assert np.array_equal(pixels, before)
    again, decoded = find(encoded, cache)
    assert decoded == COUNT
    assert np.array_equal(again, before)


def test_a_file_that_is_removed_between_two_looks_is_decoded_again(
    encoded: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find(encoded, cache)
    ours = os.utime

    def utime(path: Any, *times: Any) -> None:
        monkeypatch.setattr(os, "utime", ours)
        Path(path).unlink()
        ours(path, *times)

    monkeypatch.setattr(os, "utime", utime)
    pixels, decoded = find(encoded, cache)
    assert decoded == COUNT
    assert pixels.shape[0] == COUNT


def test_a_disk_without_room_is_an_error_and_leaves_nothing(encoded: Path, tmp_path: Path) -> None:
    try:
        disk = SmallDisk(tmp_path / "disk", 64 * 1024)
    except NoMount as error:
        pytest.skip(f"nothing can be mounted: {error}")
    try:
        large = Preparation(64, 64, 1, "crop")
        with pytest.raises(OSError, match="No space") as failed:
            find_decoded(encoded, "a" * 64, large, Settings(cache=disk.folder))
        assert classify_storage_error(failed.value, tmp_path / "volume") == "worker_disk_full"
        assert files(disk.folder) == files(disk.folder, "draft") == []
    finally:
        disk.close()


def test_decoding_tells_that_it_goes_on_and_is_ended_by_what_that_raises(encoded: Path, cache: Path) -> None:
    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        find_decoded(encoded, "a" * 64, SMALL, Settings(cache=cache), stop)
    assert not list(cache.rglob("*.draft")) + list(cache.rglob("*.npy"))


def test_who_waits_for_another_slot_goes_on_meanwhile(encoded: Path, cache: Path) -> None:
    (cache / "images").mkdir(parents=True)
    calls: list[int] = []
    with ExitStack() as other:
        lock = cache / "images" / f"{'a' * 64}-{SMALL.height}x{SMALL.width}x{SMALL.channels}-{SMALL.resize}.lock"
        held = other.enter_context(lock.open("wb"))
        fcntl.flock(held, fcntl.LOCK_EX)

        def go_on() -> None:
            calls.append(len(calls))
            if len(calls) == 2:
                fcntl.flock(held, fcntl.LOCK_UN)

        _, facts = find_decoded(encoded, "a" * 64, SMALL, Settings(cache=cache), go_on)
    assert len(calls) > 2
    assert facts["images"] == COUNT
