"""Which folders of this process stand for a volume in a bucket. The lowest module: `shared.durable` imports it."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class WriteThrough(Protocol):
    """What happens in the bucket before a file of the folder changes. All calls raise OSError with the path."""

    def passes(self, path: Path) -> bool:
        """Whether the file belongs to the volume, rather than to this machine alone."""

    def create(self, path: Path, content: bytes) -> bool:
        """Create the file exclusively. False if it exists already: then the folder has it, too."""

    def replace(self, path: Path, pieces: Iterable[bytes | memoryview]) -> bytes:
        """Create or replace the file, and return its content."""

    def remove(self, path: Path) -> None:
        """Remove the file."""

    def fetch(self, path: Path) -> bool:
        """Download a file that the folder lacks. False if the bucket does not have it either."""

    def bring(self, *folders: Path) -> None:
        """Download all files below these folders."""

    def refresh(self, folder: Path) -> None:
        """Download what has changed below a job's or a sweep's folder now, except large files."""

    def missing_files(self, folder: Path) -> dict[str, int]:
        """Files below a folder that are not on this machine yet: bytes by name in the folder."""

    def owns(self, attempt: Path) -> bool:
        """Whether this process has claimed the attempt and writes its folder."""

    def discard(self, attempt: Path) -> None:
        """Remove the local files of an attempt that is no longer ours; a look downloads the bucket's files."""

    def publish(self, prepared: Path, place: Path, *, is_content: bool = False) -> bool:
        """Make a prepared folder the one at `place`. False if the name is taken."""

    def upload_folder(self, folder: Path) -> None:
        """Upload all files below a folder."""

    def remove_folder(self, place: Path) -> bool:
        """Remove all files below a folder from the bucket. False if there were none."""

    def check(self) -> None:
        """Raise if the bucket is unavailable."""

    def probe(self, size: int) -> None:
        """Raise if the bucket does not accept an object of this size."""


_attached: dict[str, WriteThrough] = {}


def attach(root: Path, mirror: WriteThrough) -> None:
    """Make `root` stand for the bucket of `mirror` in this process."""
    _attached[os.fspath(root)] = mirror


def detach(root: Path) -> None:
    """Make `root` a plain folder again."""
    _attached.pop(os.fspath(root), None)


def mirror_at(root: Path) -> WriteThrough | None:
    """The bucket that holds the volume at `root`; None for a volume on a filesystem."""
    return _attached.get(os.fspath(root))


def mirror_of(path: Path | str) -> WriteThrough | None:
    """The bucket that changes of the file go through; None for a file on a filesystem."""
    if not _attached:
        return None
    name = os.fspath(path)
    for root, mirror in _attached.items():
        if name.startswith(f"{root}/") and mirror.passes(Path(name)):
            return mirror
    return None


def bring(*folders: Path) -> None:
    """Download all files below these folders of a volume, including large ones. Raises OSError."""
    for folder in folders:
        mirror = mirror_of(folder / "any")
        if mirror is not None:
            mirror.bring(folder)


def refresh(folder: Path) -> None:
    """Update a unit of a volume to its current state, newer than the last look. Raises OSError."""
    mirror = mirror_of(folder / "any")
    if mirror is not None:
        mirror.refresh(folder)


def missing_files(folder: Path) -> dict[str, int]:
    """Files below a folder of a volume that are not on this machine yet: bytes by name in the folder."""
    mirror = mirror_of(folder / "any")
    return {} if mirror is None else mirror.missing_files(folder)


def owns(attempt: Path) -> bool:
    """Whether this process has claimed the attempt, so that the bucket may lack some of its files."""
    mirror = mirror_of(attempt / "any")
    return mirror is not None and mirror.owns(attempt)


def discard(attempt: Path) -> None:
    """Remove the local files of an attempt; a look downloads those of the bucket. Only if `owns` is true."""
    mirror = mirror_of(attempt / "any")
    if mirror is not None:
        mirror.discard(attempt)
