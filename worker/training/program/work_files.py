"""Copies the script's working folder with each resume point, and restores it.

A copy is a folder next to the points. A file that has not changed since the last copy is a hard link to that, so only
changes are written. Links, devices and empty folders are not copied.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any

from shared.durable import link_file, sync_file
from shared.job_folder import AttemptFolder, JobFolder
from worker.training.background import MOST_WAITING
from worker.training.resume.point import DamagedPoint

# The limits of what a resume point keeps of the working folder.
MOST_FILES = 10_000
MOST_BYTES = 2 * 1024**3

_COPIES = "files"
_TEMPORARY = ".tmp"
# A point is on the disk some time after its copy. The last two points on the disk count, one is being written,
# MOST_WAITING wait, and one is about to be given to the writer.
_KEPT = MOST_WAITING + 4

Stamp = tuple[int, int, int]


class WorkFiles:
    """The working folder of one attempt, as a part of the run's state.

    `report` writes an event: once if files are too many or too large to keep, and with `exact=False` if the folder is
    restored without them.
    """

    def __init__(self, attempt: AttemptFolder, report: Callable[..., None]) -> None:
        self.folder = attempt.path / "files"
        self._attempt = attempt
        self._report = report
        self._has_reported = False
        self._own: dict[str, Stamp] = {}
        self._last: tuple[Path, dict[str, Stamp]] | None = None
        self._copies: list[Path] = []
        self._number = 0
        self.keeps_next = False

    def begin(self) -> None:
        """Remember the files before the script runs. The program's own files are not copied unless they change."""
        self._own = dict(_stamps(self.folder))

    def state(self) -> dict[str, Any]:
        """Copy the folder as it is now, and return where the copy is."""
        self._number += 1
        name = f"{self._number:06d}"
        present = dict(_stamps(self.folder))
        new = {path: stamp for path, stamp in present.items() if self._own.get(path) != stamp}
        kept = _choose(new)
        lost = len(new) - len(kept)
        if lost and not self._has_reported:
            self._has_reported = True
            self._report(
                f"{lost} files of the script were too many or too large to keep: after an interruption they are missing"
            )
        place = self._attempt.resume / _COPIES / name
        place.mkdir(parents=True)
        copied = {path: stamp for path, stamp in kept.items() if self._copy(path, stamp, place)}
        # The name contains the number of files, which shows whether a copy is complete.
        place = place.rename(place.with_name(name := f"{name}-{len(copied)}"))
        self._last = place, copied
        self._forget(place)
        removed = sorted(self._own.keys() - present.keys())
        return {"attempt": self._attempt.number, "copy": name, "removed": removed, "lost": lost}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the folder as it was at `state`, which may be of an earlier attempt."""
        if state.get("copy") is None:
            return
        source = _place_of(self._attempt.job, state)
        kept = {path for path, _ in _stamps(source)}
        for path, stamp in _stamps(self.folder):
            if path not in kept and self._own.get(path) != stamp:
                (self.folder / path).unlink(missing_ok=True)
        for path in state.get("removed") or []:
            (self.folder / path).unlink(missing_ok=True)
        for path in kept:
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            # As a new file, because the script may have the old one open.
            target.unlink(missing_ok=True)
            shutil.copy2(source / path, target)
        self._last = None
        if state.get("lost"):
            self._report(f"not an exact resume: {state['lost']} files of the script were not kept", exact=False)

    def _copy(self, path: str, stamp: Stamp, place: Path) -> bool:
        """Copy or link one file; False if a thread or a child of the script has removed it."""
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._last is not None and self._last[1].get(path) == stamp:
            link_file(self._last[0] / path, target)
            return True
        try:
            shutil.copy2(self.folder / path, target)
        except FileNotFoundError:
            return False
        sync_file(target)
        return True

    def _forget(self, new: Path) -> None:
        """Remove the copies that no point needs. The copy of a finished call of `fit` stays (`keeps_next`)."""
        if self.keeps_next:
            self.keeps_next = False
            return
        self._copies.append(new)
        for old in self._copies[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        self._copies = self._copies[-_KEPT:]


def check_copy(job: JobFolder, state: dict[str, Any]) -> None:
    """Raise DamagedPoint if the copy of a point's `state` lacks files. Old versions' copies have no number of files."""
    name, dash, count = str(state.get("copy") or "").partition("-")
    if dash and len(list(_stamps(_place_of(job, state)))) != int(count):
        raise DamagedPoint(f"the script's files at that point (copy {name}) are incomplete")


def _place_of(job: JobFolder, state: dict[str, Any]) -> Path:
    return job.attempts_folder / str(state["attempt"]) / "resume" / _COPIES / state["copy"]


def _choose(stamps: dict[str, Stamp]) -> dict[str, Stamp]:
    """The files to copy: the smallest first, up to the limits."""
    kept: dict[str, Stamp] = {}
    total = 0
    for path, stamp in sorted(stamps.items(), key=lambda one: one[1][1]):
        total += stamp[1]
        if len(kept) == MOST_FILES or total > MOST_BYTES:
            break
        kept[path] = stamp
    return kept


def _stamps(folder: Path) -> Iterator[tuple[str, Stamp]]:
    """Yield the regular files below a folder: each path, and a stamp that changes with the file."""
    for path, folders, names in os.walk(folder):
        here = Path(path)
        folders[:] = [one for one in folders if one not in {_TEMPORARY, "__pycache__"}]
        for name in names:
            with suppress(FileNotFoundError):
                found = (here / name).stat(follow_symlinks=False)
                if S_ISREG(found.st_mode):
                    yield str((here / name).relative_to(folder)), (found.st_mtime_ns, found.st_size, found.st_ino)
