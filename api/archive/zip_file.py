"""Zip archives. The central directory is checked before any entry is read."""

import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from api.archive.entries import HEAD_BYTES, Content, Entry, Survey, clean_name, damage_refusal

_ENCRYPTED, _UTF_8 = 0x1, 0x800
_LOCAL_HEADER_BYTES = 30
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


def survey(path: Path, found: Survey, wants_head: Callable[[str], bool]) -> Iterator[Entry]:
    """Check all entries, then yield the accepted files. Raises Refused for an unsafe zip."""
    with _open(path) as archive:
        infos = _in_order(archive)
        for info in infos:
            found.count(info.file_size)
        names = [(info, _take(info, found)) for info in infos]
        _refuse_overlaps(infos, found)
        is_safe = not found.problems
        for info, name in names:
            if name is not None and not info.is_dir():
                yield Entry(name, info.file_size, _head(archive, info) if is_safe and wants_head(name) else b"")


def read(path: Path, wanted: Callable[[str], bool]) -> Iterator[Content]:
    """The wanted files, in the order of the archive."""
    with _open(path) as archive:
        # The survey has checked the limits and the names.
        for info in _in_order(archive):
            name = clean_name(_name(info))
            if not info.is_dir() and wanted(name):
                with _entry(info), archive.open(info) as file:
                    yield Content(name, info.file_size, _reader(info, file.read))


@contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise damage_refusal(_reason(error)) from None
    with archive:
        yield archive


def _in_order(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return sorted(archive.infolist(), key=lambda info: info.header_offset)


def _take(info: zipfile.ZipInfo, found: Survey) -> str | None:
    return found.check(_name(info), _fault(info), is_folder=info.is_dir())


def _name(info: zipfile.ZipInfo) -> str:
    """The stored name. Some programs write UTF-8 without setting its flag."""
    # Not info.filename, which ends before a NUL.
    name = info.orig_filename
    if info.flag_bits & _UTF_8:
        return name
    try:
        return name.encode("cp437").decode()
    except ValueError:
        return name


def _fault(info: zipfile.ZipInfo) -> str | None:
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        return "is a link; pack the file that it points to"
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "is a device, a FIFO or a socket, expected a file"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted; pack it without a password"
    if info.compress_type not in _METHODS:
        return "is compressed by an unusual method, expected deflate or none"
    return None


def _refuse_overlaps(infos: list[zipfile.ZipInfo], found: Survey) -> None:
    """Add a problem for each entry that shares bytes with another: such a small archive can unpack to petabytes."""
    end = 0
    for info in infos:
        if info.header_offset < end:
            found.refuse(_name(info), "shares its bytes with another entry")
        length = _LOCAL_HEADER_BYTES + len(info.orig_filename.encode(errors="replace")) + info.compress_size
        end = max(end, info.header_offset + length)


def _head(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with _entry(info), archive.open(info) as file:
        return file.read(HEAD_BYTES)


def _reader(info: zipfile.ZipInfo, read_file: Callable[[int], bytes]) -> Callable[[int], bytes]:
    def read_some(size: int) -> bytes:
        with _entry(info):
            return read_file(size)

    return read_some


@contextmanager
def _entry(info: zipfile.ZipInfo) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise damage_refusal(_reason(error), _name(info)) from None


def _reason(error: Exception) -> str:
    text = str(error)
    if "CRC" in text:
        return "its checksum is wrong"
    if "header" in text:
        return "its headers contradict each other"
    return "it cannot be read as a zip archive"
