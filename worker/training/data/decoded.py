"""The cache of decoded images: one `.npy` file for each dataset and size, on the worker's own disk.

    <FITSTOP_CACHE>/images/<SHA-256 of the data>-<height>x<width>x<channels>-<resize>.npy

A file is complete or absent: it is written under another name and renamed. The order of the images follows from the
dataset. When there is no room, the least recently used file is removed first. A lost file is decoded again.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from shared.settings import Settings
from shared.storage import at_path
from worker.training.hashing import do_nothing
from worker.training.prepare_images import Preparation

Pixels = npt.NDArray[np.uint8]

_BATCH_IMAGES = 512
_LOCK_SECONDS = 0.5


def find_decoded(
    path: Path, sha256: str, preparation: Preparation, settings: Settings, keep_alive: Callable[[], None] = do_nothing
) -> tuple[Pixels, dict[str, Any]]:
    """All images of a dataset, memory-mapped, and facts about the decoding: `images`, `seconds`, `bytes`.

    The images are uint8 of shape (images, height, width, channels). If they are not in the cache, they are decoded
    first. `keep_alive` is called every few seconds, and may raise to stop. Raises OSError if the disk has no space.
    """
    folder = settings.cache / "images"
    form = f"{preparation.height}x{preparation.width}x{preparation.channels}-{preparation.resize}"
    file = folder / f"{sha256}-{form}.npy"
    with at_path(folder):
        folder.mkdir(parents=True, exist_ok=True)
        began, count = time.monotonic(), 0
        with _take_turn(_lock_of(file), keep_alive):
            while (pixels := _use(file)) is None:
                count = _decode(path, file, preparation, settings.cache_bytes, keep_alive)
    return pixels, {"images": count, "seconds": round(time.monotonic() - began, 2), "bytes": pixels.nbytes}


def _use(file: Path) -> Pixels | None:
    """The images, mapped and marked as used now; None if the file does not exist: another process may remove it."""
    try:
        pixels: Pixels = np.load(file, mmap_mode="r", allow_pickle=False)
        os.utime(file)
    except FileNotFoundError:
        return None
    return pixels


def _lock_of(file: Path) -> Path:
    return file.with_suffix(".lock")


@contextmanager
def _take_turn(lock: Path, keep_alive: Callable[[], None]) -> Iterator[None]:
    """Hold the lock for the decoding of one dataset, so that two slots of a worker do not both decode it."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(_lock_now(lock))
                break
            except BlockingIOError:
                keep_alive()
                time.sleep(_LOCK_SECONDS)  # flock has no timeout
        yield


@contextmanager
def _lock_now(lock: Path) -> Iterator[None]:
    """Hold the lock. Raises BlockingIOError if another process does. The kernel releases that of a killed process."""
    with lock.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _decode(path: Path, file: Path, preparation: Preparation, cache_bytes: int, keep_alive: Callable[[], None]) -> int:
    """Decode all images into `file`, and return their number."""
    with pq.ParquetFile(path) as source:
        count = source.metadata.num_rows
        shape = (count, preparation.height, preparation.width, preparation.channels)
        _remove_abandoned(file.parent)
        _make_room(file.parent, prod(shape), cache_bytes)
        draft = file.with_suffix(".draft")
        try:
            pixels = np.lib.format.open_memmap(draft, "w+", np.uint8, shape)
            _reserve(draft)
            place = 0
            for batch in source.iter_batches(_BATCH_IMAGES, columns=["image"], use_threads=False):
                encoded = batch.column("image").to_pylist()
                preparation.decode_all([_reader(one) for one in encoded], pixels[place : place + len(encoded)])
                place += len(encoded)
                keep_alive()
            pixels.flush()
            del pixels
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
    return count


def _reader(content: bytes) -> Any:
    return lambda: content


def _make_room(folder: Path, needed: int, most_bytes: int) -> None:
    """Remove the files that have not been used for longest until `needed` more bytes fit into `most_bytes`.

    A file that a process has mapped stays readable to it. A file that is larger than the limit is decoded anyway.
    """
    found = sorted(_by_use(folder))
    held = sum(size for _, size, _ in found)
    for _, size, one in found:
        if held + needed <= most_bytes:
            return
        one.unlink(missing_ok=True)
        held -= size


def _by_use(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield the time of last use, the size and the path of each file."""
    for one in folder.glob("*.npy"):
        with suppress(FileNotFoundError):
            stat = one.stat()
            yield stat.st_mtime, stat.st_size, one


def _remove_abandoned(folder: Path) -> None:
    """Remove the incomplete files of killed processes, which no process has locked."""
    for draft in folder.glob("*.draft"):
        with suppress(BlockingIOError), _lock_now(_lock_of(draft)):
            draft.unlink(missing_ok=True)


def _reserve(file: Path) -> None:
    """Allocate the disk space at once: a mapped page without space kills the process."""
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
