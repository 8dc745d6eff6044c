"""What `datasets put` sends: a file as it is, or a folder as a tar that is packed while it is sent."""

import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fitstop.errors import Unsendable

_PIECE_BYTES = 256 * 1024
_MEDIA_TYPES = {
    b"PAR1": "application/vnd.apache.parquet",
    b"PK\x03\x04": "application/zip",
    b"\x1f\x8b": "application/gzip",
}
_TAR, _TAR_PLACE, _TAR_TYPE = b"ustar", 257, "application/x-tar"
_SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
# An archive ends with two empty blocks.
_END = b"\0" * 2 * tarfile.BLOCKSIZE


class Sendable(Protocol):
    """What `put_dataset` can send: its name, its type, its exact length in bytes, and the bytes in pieces.

    `fingerprint` stays the same while the bytes do. An interrupted upload is resumed by its fingerprint.
    """

    @property
    def name(self) -> str: ...
    @property
    def media_type(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    def pieces(self, on_sent: Callable[[int, int], None] | None = None) -> Iterator[bytes]: ...


def count_sent(
    pieces: Iterator[bytes], size: int, on_sent: Callable[[int, int], None] | None = None, sent: int = 0
) -> Iterator[bytes]:
    """Yield the pieces. After each, call `on_sent` with the number of bytes sent so far, and `size`, the total.

    `sent`: bytes that were sent before.
    """
    for piece in pieces:
        yield piece
        sent += len(piece)
        if on_sent is not None:
            on_sent(sent, size)


@dataclass(frozen=True)
class _File:
    """A file to send. `name` is its name in the tar; None if the file itself is the upload."""

    path: Path
    size: int
    name: str | None = None

    @property
    def head(self) -> bytes:
        """The tar header of the file. Not cached, because there may be a million files."""
        if self.name is None:
            return b""
        member = tarfile.TarInfo(self.name)
        member.size = self.size
        return member.tobuf(tarfile.PAX_FORMAT)

    @property
    def blanks(self) -> bytes:
        """The zeros that fill the last block of the file in the tar."""
        return b"" if self.name is None else b"\0" * (-self.size % tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class Upload:
    """An upload, before its first byte is sent. `size` is its exact length in bytes."""

    name: str
    media_type: str
    size: int
    files: tuple[_File, ...]
    end: bytes = b""

    @property
    def fingerprint(self) -> str:
        """A hash of names, lengths and times of change, without reading a file."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.name}\n{file.size}\n{file.path.stat().st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def pieces(self, on_sent: Callable[[int, int], None] | None = None) -> Iterator[bytes]:
        """The bytes, in pieces. Raises Unsendable if a file has become shorter."""
        return count_sent(self._pieces(), self.size, on_sent)

    def _pieces(self) -> Iterator[bytes]:
        for file in self.files:
            yield file.head
            yield from _read(file)
            yield file.blanks
        yield self.end


def open_upload(path: Path) -> Upload:
    """The upload of a file or a folder. Raises Unsendable for a folder with links to folders, or with special files.

    The bytes of a folder depend only on the names and contents of its files, not on times or owners. Hidden files are
    left out.
    """
    if path.is_dir():
        files = [(found, found.relative_to(path).as_posix()) for found in _walk(path)]
        if not files:
            raise Unsendable(f"{path} holds no files; expected a folder for each class")
        return pack_files(f"{path.resolve().name or 'folder'}.tar", files)
    with path.open("rb") as file:
        head = file.read(_TAR_PLACE + len(_TAR))
    kind = next((kind for magic, kind in _MEDIA_TYPES.items() if head.startswith(magic)), "text/csv")
    size = path.stat().st_size
    return Upload(path.name, _TAR_TYPE if head[_TAR_PLACE:] == _TAR else kind, size, (_File(path, size),))


def pack_files(name: str, files: Iterable[tuple[Path, str]]) -> Upload:
    """The upload of files as a tar, each with its name in it. The tar contains no times and no owners."""
    members = tuple(_File(path, path.stat().st_size, inner) for path, inner in files)
    size = sum(len(file.head) + file.size + len(file.blanks) for file in members) + len(_END)
    return Upload(name, _TAR_TYPE, size, members, _END)


def _walk(folder: Path) -> Iterator[Path]:
    for top, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not _is_system(name))
        for name in folders:
            if (path := Path(top, name)).is_symlink():
                raise Unsendable(f"{path} is a link to a folder; put the folder itself there")
        for name in sorted(files):
            if _is_system(name):
                continue
            path = Path(top, name)
            if not path.exists() or not stat.S_ISREG(path.stat().st_mode):
                raise Unsendable(f"{path} is neither a file nor a folder")
            yield path


def _raise(error: OSError) -> None:
    raise Unsendable(f"{error.filename} cannot be read: {error.strerror}")


def _is_system(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def _read(file: _File) -> Iterator[bytes]:
    left = file.size
    try:
        with file.path.open("rb") as opened:
            while left:
                piece = opened.read(min(_PIECE_BYTES, left))
                if not piece:
                    raise Unsendable(f"{file.path} shrank while it was sent; try again")
                left -= len(piece)
                yield piece
    except OSError as error:
        raise Unsendable(f"{file.path} cannot be read: {error.strerror}") from error
