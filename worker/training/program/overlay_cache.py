"""Stores folders of packages for later programs, each complete or absent. Removes the least recently used first."""

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from worker.machine.disk_use import used_bytes

_NAME = re.compile("[0-9a-f]{64}")
_WORK = ".work-"
_LOCK_SECONDS = 0.2


class OverlayCache:
    """The folders below `folder`: a maximum of `most_bytes` together, except folders in use."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def get(self, name: str, make: Callable[[Path], None], keep_alive: Callable[[], None]) -> Path:
        """The folder `name`, which is in use by this process until it ends. If it is missing, `make` fills it.

        One process fills it, and others wait and call `keep_alive`. Raises what `make` and `keep_alive` raise.
        """
        place = self._folder / name
        with place.with_suffix(".lock").open("ab") as held:
            while not self._use(place, held):
                if not _lock(held, fcntl.LOCK_EX):
                    keep_alive()
                    time.sleep(_LOCK_SECONDS)  # flock has no timeout
                elif not place.exists():
                    self._make(place, make)
            os.dup(held.fileno())  # never closed: the lock is held for the rest of this process
        self._make_room(place)
        return place

    def _use(self, place: Path, held: IO[bytes]) -> bool:
        """Mark the folder as used; False if it does not exist."""
        if not _lock(held, fcntl.LOCK_SH) or not place.exists():
            return False
        os.utime(place)
        return True

    def _make(self, place: Path, make: Callable[[Path], None]) -> None:
        draft = place.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        try:
            make(draft)
            os.sync()  # otherwise a power cut may leave the name without the files
            draft.replace(place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _make_room(self, kept: Path) -> None:
        """Remove the least recently used folders until the others fit."""
        others = [place for place in self._folder.iterdir() if _NAME.fullmatch(place.name) and place != kept]
        size = sum(sum(used_bytes(place)) for place in (kept, *others))
        for place in sorted(others, key=_used_at):
            if size <= self._most_bytes:
                return
            size -= _remove(place)


@contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder in `folder` while the context is open. Removes those of killed processes, too."""
    _remove_abandoned(folder)
    with tempfile.TemporaryDirectory(prefix=_WORK, dir=folder) as work:
        opened = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)
            yield Path(work)
        finally:
            os.close(opened)


def _remove_abandoned(folder: Path) -> None:
    for work in folder.glob(f"{_WORK}*"):
        with suppress(OSError):
            opened = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(work, ignore_errors=True)
            finally:
                os.close(opened)
    for draft in folder.glob("*.draft"):
        with draft.with_suffix(".lock").open("ab") as held:
            if _lock(held, fcntl.LOCK_EX):
                shutil.rmtree(draft, ignore_errors=True)


def _lock(held: IO[bytes], kind: int) -> bool:
    """Take the lock, or change its kind; False if another process has it. Changing it may release it for a moment."""
    try:
        fcntl.flock(held, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(place: Path) -> int:
    """Remove a folder, and return the bytes that this freed: 0 if a process uses it."""
    with place.with_suffix(".lock").open("ab") as held:
        if not _lock(held, fcntl.LOCK_EX):
            return 0
        size = sum(used_bytes(place))
        shutil.rmtree(place, ignore_errors=True)
        return size


def _used_at(place: Path) -> float:
    with suppress(FileNotFoundError):
        return place.stat().st_mtime
    return 0.0
