"""`fitstop-copy/`: what a copy has written to its target, so that it can be continued and checked.

    copy.json           which volume is copied: exclusive create, before the first file
    files/<number>      segments, each of some files with their size, hash and time

In a bucket the record stays: a later copy out of it compares the hashes and restores the times. In a folder it is
removed at the end, since the volume there will change. While it exists, the folder is not a volume.
"""

from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict

from shared.copying.problems import CopyRefused
from shared.document import Document, parse_document
from shared.durable import encode
from shared.store.interface import Store
from shared.store.keys import encode_name
from shared.store.segments import Segments
from shared.times import Time, utc_now
from shared.volume_identity import COPY_FILE, COPY_FOLDER

_FILES = f"{COPY_FOLDER}/files"


class Copy(Document):
    """`copy.json`; `volume` is the id of the volume that is copied."""

    volume: str
    begun_at: Time


class CopiedFile(BaseModel):
    """A file whose bytes in the target have this hash. `key` is its name as an object's key.

    `version` is from the source's list and shows whether the file has changed.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    key: str
    size: int
    sha256: str
    modified_ns: int
    version: str


class _Segment(Document):
    files: tuple[CopiedFile, ...]


class CopyRecord:
    """The record in `target`; empty if there is none. `files`: by their keys."""

    def __init__(self, target: Store) -> None:
        self._target = target
        self._segments = Segments(target, _FILES)
        self.files: dict[str, CopiedFile] = {}
        for content in self._segments.read_all():
            self._remember(parse_document(content, _Segment, _FILES).files)

    @classmethod
    def begin(cls, target: Store, volume: str) -> Self:
        """Start or continue the copy of this volume. Raises CopyRefused if the target belongs to another one."""
        target.create(COPY_FILE, encode(Copy(volume=volume, begun_at=utc_now()).model_dump()))
        content = target.read(COPY_FILE)
        assert content is not None
        standing = parse_document(content, Copy, COPY_FILE)
        if standing.volume != volume:
            raise CopyRefused(f"{target.place} holds an unfinished copy of another volume; copy into another place")
        return cls(target)

    def find(self, name: str) -> CopiedFile | None:
        """The record of a file; None if it has none."""
        return self.files.get(encode_name(name))

    def add(self, files: Sequence[CopiedFile]) -> None:
        """Record verified files. Raises Overtaken if another process copies into the target."""
        if files:
            self._segments.append(encode(_Segment(files=tuple(files)).model_dump()))
            self._remember(files)

    def remove(self) -> None:
        """Remove the record, `copy.json` last."""
        self._segments.remove()
        self._target.remove(COPY_FILE)

    def _remember(self, files: Sequence[CopiedFile]) -> None:
        self.files.update({file.key: file for file in files})
