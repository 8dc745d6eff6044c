"""`fitstop-volume.json`: the identity of a volume.

If a volume is not mounted, its place is an empty folder, in which every job would be unknown and every write would be
lost. The marker tells the two apart: a process remembers the id that it read at its start.
"""

import errno
from pathlib import Path
from uuid import uuid4

from shared.document import Document, UnusableDocument, read_document
from shared.durable import create_file, encode
from shared.stamps import Stamp, file_stamp

MARKER_FILE = "fitstop-volume.json"
# The record of a copy into this folder (shared.copying).
COPY_FOLDER = "fitstop-copy"
COPY_FILE = f"{COPY_FOLDER}/copy.json"


def is_volume(root: Path) -> bool:
    """Whether a volume is at `root`, and not an empty mount point."""
    return (root / MARKER_FILE).exists() or (root / "jobs").is_dir()


def check_copied(root: Path) -> None:
    """Raise OSError if a copy into this folder is not finished: it is not a volume yet."""
    if (root / COPY_FILE).exists():
        reason = "the copy into this folder is unfinished: run `fitstop volume copy` again"
        raise OSError(errno.EBUSY, reason, str(root))


class VolumeMarker(Document):
    """The marker's content. Written once, never changed."""

    id: str


class VolumeAway(OSError):
    """The volume is not mounted in its place."""


class VolumeIdentity:
    """The identity of the volume at `root`. Marks a volume without a marker: a new one, or one of an older Fitstop.

    Raises OSError if a new volume cannot be marked, or if a copy into its folder is not finished. An existing volume
    that is read-only or full is marked later, by another process.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._file = root / MARKER_FILE
        self._stamp: Stamp | None = None
        check_copied(root)
        self.id = self._read() or self._mark()

    def check(self) -> None:
        """Raise VolumeAway if the volume is not mounted, or is not the one that this process knows."""
        stamp = self._look()
        if stamp is not None and stamp == self._stamp:
            return
        found = self._read()
        if self.id is None and (found is not None or (self._root / "jobs").is_dir()):
            self.id = found
        elif found is None or found != self.id:
            raise self._away("its folder holds no marker" if found is None else "another volume is in its place")
        self._stamp = stamp if found else None

    def _look(self) -> Stamp | None:
        return file_stamp(f"{self._root}/{MARKER_FILE}")

    def _read(self) -> str | None:
        try:
            marker = read_document(self._file, VolumeMarker)
        except UnusableDocument as error:
            raise self._away(str(error)) from None
        return None if marker is None else marker.id

    def _mark(self) -> str | None:
        try:
            create_file(self._file, encode(VolumeMarker(id=str(uuid4())).model_dump()))
        except OSError:
            if not (self._root / "jobs").is_dir():
                raise
        return self._read()

    def _away(self, reason: str) -> VolumeAway:
        return VolumeAway(errno.ENODEV, f"the volume is not mounted: {reason}", str(self._file))
