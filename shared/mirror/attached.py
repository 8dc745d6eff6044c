"""Which folders of this process stand for a volume in a bucket. The lowest module: `shared.durable` asks it."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class WriteThrough(Protocol):
    """What has to happen in the bucket before a file of the folder changes. All calls raise OSError with the path."""

    def passes(self, path: Path) -> bool:
        """Whether the file is one of the volume's, and not one that only this machine has."""

    def create(self, path: Path, content: bytes) -> bool:
        """Create it exclusively. False where it is there already: then the folder has it, too."""

    def replace(self, path: Path, pieces: Iterable[bytes | memoryview]) -> bytes:
        """Put it in place of what was there; the answer is the content."""

    def remove(self, path: Path) -> None:
        """Remove it."""

    def fetch(self, path: Path) -> bool:
        """Bring a file that the bucket has and the folder has not; False where there is none."""

    def bring(self, *folders: Path) -> None:
        """Bring all that the bucket has below these folders."""

    def refresh(self, folder: Path) -> None:
        """Bring what has changed below a job's or a sweep's folder now; large files stay where they are."""

    def missing_files(self, folder: Path) -> dict[str, int]:
        """The files below a folder that the bucket has, and the folder not yet: bytes by name in the folder."""

    def owns(self, attempt: Path) -> bool:
        """Whether this process has claimed the attempt, and writes its folder."""

    def discard(self, attempt: Path) -> None:
        """Remove from this machine what it has of an attempt that is not its own any more; a look brings the rest."""

    def publish(self, prepared: Path, place: Path, *, is_content: bool = False) -> bool:
        """Make a prepared folder the one at `place`; False where the name is taken."""

    def upload_folder(self, folder: Path) -> None:
        """Upload all that is below a folder."""

    def remove_folder(self, place: Path) -> bool:
        """Remove all that is below a folder from the bucket; False where there was nothing."""

    def check(self) -> None:
        """Raise where the bucket is away."""

    def probe(self, size: int) -> None:
        """Raise where the bucket does not take an object of this size."""


_attached: dict[str, WriteThrough] = {}


def attach(root: Path, mirror: WriteThrough) -> None:
    """Let `root` stand for the bucket of `mirror` from now on, in this process."""
    _attached[os.fspath(root)] = mirror


def detach(root: Path) -> None:
    """Let `root` be a folder again."""
    _attached.pop(os.fspath(root), None)


def mirror_at(root: Path) -> WriteThrough | None:
    """The bucket that holds the volume at `root`; None for a volume on a filesystem."""
    return _attached.get(os.fspath(root))


def mirror_of(path: Path | str) -> WriteThrough | None:
    """What the file has to go through; None for a file of a filesystem alone."""
    if not _attached:
        return None
    name = os.fspath(path)
    for root, mirror in _attached.items():
        if name.startswith(f"{root}/") and mirror.passes(Path(name)):
            return mirror
    return None


def bring(*folders: Path) -> None:
    """Have all files below these folders of a volume here, large ones too. Raises OSError."""
    for folder in folders:
        mirror = mirror_of(folder / "any")
        if mirror is not None:
            mirror.bring(folder)


def refresh(folder: Path) -> None:
    """Have a unit of a volume as it is now, not as at the last look. Raises OSError."""
    mirror = mirror_of(folder / "any")
    if mirror is not None:
        mirror.refresh(folder)


def missing_files(folder: Path) -> dict[str, int]:
    """The files below a folder of a volume that are not on this machine yet: bytes by name in the folder."""
    mirror = mirror_of(folder / "any")
    return {} if mirror is None else mirror.missing_files(folder)


def owns(attempt: Path) -> bool:
    """Whether the folder has of an attempt what this process has claimed, and the bucket maybe not yet."""
    mirror = mirror_of(attempt / "any")
    return mirror is not None and mirror.owns(attempt)


def discard(attempt: Path) -> None:
    """Keep nothing of an attempt but what the bucket has of it. Only where `owns` says so."""
    mirror = mirror_of(attempt / "any")
    if mirror is not None:
        mirror.discard(attempt)
