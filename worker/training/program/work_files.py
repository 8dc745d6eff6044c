"""The script's working folder: kept with each resume point, and put back as it was then.

A copy is a folder beside the points. A file that has not changed since the copy before is a hard link to that one, so
that only what changes is written. Links, devices and empty folders are not kept.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shared.durable import link_file, sync_file
from shared.job_folder import AttemptFolder

log = logging.getLogger(__name__)

# What of a working folder is kept with a resume point.
MOST_FILES = 10_000
MOST_BYTES = 2 * 1024**3

_COPIES = "files"
_TEMPORARY = ".tmp"
# The copy of the point that is being written, and of the two before it.
_KEPT = 3

Stamp = tuple[int, int, int]


class WorkFiles:
    """The working folder of one attempt. `tell` hears once where something of it is not kept."""

    def __init__(self, attempt: AttemptFolder, tell: Callable[[str], None]) -> None:
        self.folder = attempt.path / "files"
        self._attempt = attempt
        self._tell = tell
        self._has_told = False
        self._own: dict[str, Stamp] = {}
        self._last: tuple[Path, dict[str, Stamp]] | None = None
        self._copies: list[Path] = []
        self._number = 0
        self.keeps_next = False

    def begin(self) -> None:
        """Know what lies in the folder before the script runs: the program's own files are not kept while unchanged."""
        self._own = dict(_stamps(self.folder))

    def state(self) -> dict[str, Any]:
        """Copy what is in the folder now, and say where."""
        self._number += 1
        name = f"{self._number:06d}"
        stamps = self._within_limits(
            {path: stamp for path, stamp in _stamps(self.folder) if self._own.get(path) != stamp}
        )
        place = self._attempt.resume / _COPIES / name
        place.mkdir(parents=True)
        for path, stamp in stamps.items():
            self._copy(path, stamp, place)
        self._last = place, stamps
        self._forget(place)
        return {"attempt": self._attempt.number, "copy": name, "removed": sorted(set(self._own) - _names(self.folder))}

    def restore(self, state: dict[str, Any]) -> None:
        """Put the folder back as it was when `state` was taken, by this attempt or by one before it."""
        if state.get("copy") is None:
            return
        source = self._attempt.job.attempts_folder / str(state["attempt"]) / "resume" / _COPIES / state["copy"]
        kept = dict(_stamps(source))
        for path, stamp in _stamps(self.folder):
            if path not in kept and self._own.get(path) != stamp:
                (self.folder / path).unlink()
        for path in state.get("removed") or []:
            (self.folder / path).unlink(missing_ok=True)
        for path in kept:
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            # Another file in its place: what the script holds open of the old one is not written into.
            target.unlink(missing_ok=True)
            shutil.copy2(source / path, target)
        self._last = None

    def _copy(self, path: str, stamp: Stamp, place: Path) -> None:
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._last is not None and self._last[1].get(path) == stamp:
            link_file(self._last[0] / path, target)
            return
        shutil.copy2(self.folder / path, target)
        sync_file(target)

    def _within_limits(self, stamps: dict[str, Stamp]) -> dict[str, Stamp]:
        """Those that are kept: the smallest first, up to the limits."""
        kept: dict[str, Stamp] = {}
        total = 0
        for path, stamp in sorted(stamps.items(), key=lambda one: one[1][1]):
            total += stamp[1]
            if len(kept) == MOST_FILES or total > MOST_BYTES:
                break
            kept[path] = stamp
        if len(kept) < len(stamps) and not self._has_told:
            self._has_told = True
            lost = len(stamps) - len(kept)
            self._tell(f"{lost} files of the script are too many or too large to keep: after an interruption they lack")
        return kept

    def _forget(self, new: Path) -> None:
        """Remove the copies that no point needs; that of a call of `fit` that has ended stays (`keeps_next`)."""
        if self.keeps_next:
            self.keeps_next = False
            return
        self._copies.append(new)
        for old in self._copies[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        self._copies = self._copies[-_KEPT:]


def _stamps(folder: Path) -> Iterator[tuple[str, Stamp]]:
    """The plain files beneath a folder by their path, and what tells that one has changed."""
    for path, folders, names in os.walk(folder):
        here = Path(path)
        folders[:] = [one for one in folders if one not in {_TEMPORARY, "__pycache__"}]
        for name in names:
            found = (here / name).stat(follow_symlinks=False)
            if (here / name).is_file() and not (here / name).is_symlink():
                yield str((here / name).relative_to(folder)), (found.st_mtime_ns, found.st_size, found.st_ino)


def _names(folder: Path) -> set[str]:
    return {path for path, _ in _stamps(folder)}
