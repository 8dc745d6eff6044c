"""Tar archives, plain or in gzip. Each pass reads the file once, from the beginning to the end."""

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from api.archive.entries import HEAD_BYTES, Content, Entry, Survey, clean_name, damage_refusal

_GZIP = b"\x1f\x8b"
_PIECE_BYTES = 1024**2


def survey(path: Path, found: Survey, wants_head: Callable[[str], bool]) -> Iterator[Entry]:
    """Check each entry, and yield the accepted files. Raises Refused for a damaged archive."""
    with _open(path) as archive:
        for member in _members(archive):
            found.count(max(member.size, 0))
            name = found.check(member.name, _fault(member), is_folder=member.isdir())
            if name is not None and member.isreg():
                yield Entry(name, member.size, _read(archive, member, HEAD_BYTES) if wants_head(name) else b"")
        _check_end(archive, found)


def read(path: Path, wanted: Callable[[str], bool]) -> Iterator[Content]:
    """The wanted files, in the archive's order."""
    with _open(path) as archive:
        for member in _members(archive):
            name = clean_name(member.name)
            if member.isreg() and wanted(name):
                yield Content(name, member.size, _reader(archive, member))


@contextmanager
def _open(path: Path) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as file:
        is_gzip = file.read(len(_GZIP)) == _GZIP
    with _translate_errors():
        archive = tarfile.open(path, "r:gz" if is_gzip else "r:")  # noqa: SIM115  closed below
    with archive:
        yield archive


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    before = -1
    while True:
        with _translate_errors():
            member = archive.next()
        if member is None:
            return
        # Otherwise tarfile's list of all members grows with the archive.
        archive.members.clear()  # type: ignore[attr-defined]
        # A negative size leads back to an earlier member, in an endless loop (CVE-2025-8194).
        if member.size < 0 or archive.offset <= before:
            raise damage_refusal("the size of an entry is negative", member.name)
        before = archive.offset
        yield member


def _fault(member: tarfile.TarInfo) -> str | None:
    if member.issym() or member.islnk():
        return "is a link; pack the file that it points to"
    if member.issparse():
        return "is a sparse file; pack it as a regular file"
    if not (member.isreg() or member.isdir()):
        return "is a device, a FIFO or a socket, expected a file"
    return None


def _check_end(archive: tarfile.TarFile, found: Survey) -> None:
    """Raise Refused unless the archive has its end marker: for tarfile, a damaged header is the end."""
    with _translate_errors():
        file = archive.fileobj
        assert file is not None
        file.seek(archive.offset)
        end = file.read(tarfile.BLOCKSIZE)
        if len(end) < tarfile.BLOCKSIZE or any(end):
            raise damage_refusal("its end marker is missing")
        # The checksum of gzip comes after everything else.
        while piece := file.read(_PIECE_BYTES):
            found.count_bytes(len(piece))


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo, size: int) -> bytes:
    return _reader(archive, member)(size)


def _reader(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[int], bytes]:
    with _translate_errors(member.name):
        file = archive.extractfile(member)
    assert file is not None, "only a regular file has content"

    def read_some(size: int) -> bytes:
        with _translate_errors(member.name):
            return file.read(size)

    return read_some


@contextmanager
def _translate_errors(name: str | None = None) -> Iterator[None]:
    """Raise Refused for errors of tarfile. A chain of headers that refer to headers causes a RecursionError."""
    try:
        yield
    except (tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, ValueError, RecursionError):
        raise damage_refusal("it cannot be read as a tar archive", name) from None
