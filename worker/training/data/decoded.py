"""The cache of decoded images: one `.npy` file for each dataset and size, on the worker's own disk.

    <FITSTOP_CACHE>/images/<SHA-256 of the data>-<height>x<width>x<channels>-<resize>.npy

A file is whole or absent: it is written under another name and renamed. Which image lies where follows from the
dataset alone. What has not been used for longest goes first when there is no room. Losing it costs one decoding.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from shared.settings import Settings
from shared.storage import at_path
from worker.training.prepare_images import Preparation

_BATCH_IMAGES = 512


def find_decoded(
    path: Path, sha256: str, preparation: Preparation, settings: Settings
) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
    """All images of a dataset, memory-mapped, and what decoding them took: `images`, `seconds`, `bytes`.

    Decodes those that are not in the cache. Raises OSError where the disk cannot hold them.
    """
    folder = settings.cache / "images"
    form = f"{preparation.height}x{preparation.width}x{preparation.channels}-{preparation.resize}"
    file = folder / f"{sha256}-{form}.npy"
    with at_path(folder):
        folder.mkdir(parents=True, exist_ok=True)
        began, count = time.monotonic(), 0
        with _one_at_a_time(file.with_suffix(".lock")):
            if not file.exists():
                count = _decode(path, file, preparation, settings.cache_bytes)
        file.touch()
        pixels = np.load(file, mmap_mode="r", allow_pickle=False)
    return pixels, {"images": count, "seconds": round(time.monotonic() - began, 2), "bytes": pixels.nbytes}


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Two slots of a worker do not decode the same images twice. The kernel frees the lock of a killed process."""
    with lock.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _decode(path: Path, file: Path, preparation: Preparation, cache_bytes: int) -> int:
    """Decode all images into `file`; the number of images."""
    with pq.ParquetFile(path) as source:
        count = source.metadata.num_rows
        shape = (count, preparation.height, preparation.width, preparation.channels)
        _make_room(file.parent, int(np.prod(shape)), cache_bytes)
        draft = file.with_suffix(f".{os.getpid()}.draft")
        try:
            pixels = np.lib.format.open_memmap(draft, "w+", np.uint8, shape)
            place = 0
            for batch in source.iter_batches(_BATCH_IMAGES, columns=["image"], use_threads=False):
                encoded = batch.column("image").to_pylist()
                preparation.decode_all([_reader(one) for one in encoded], pixels[place : place + len(encoded)])
                place += len(encoded)
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

    A file that a process has mapped stays readable to it. A file that is larger than the limit is decoded all the same.
    """
    found = sorted((one.stat().st_mtime, one.stat().st_size, one) for one in folder.glob("*.npy"))
    held = sum(size for _, size, _ in found)
    for _, size, one in found:
        if held + needed <= most_bytes:
            return
        one.unlink(missing_ok=True)
        held -= size
