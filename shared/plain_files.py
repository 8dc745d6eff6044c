"""Open an untrusted file of the volume: only a regular file of limited size, and not a link.

Anyone who mounts the volume can write to it. So a file may be a link to another machine's secrets, a FIFO that nobody
writes to, a device, or larger than the memory. `guard` names a volume; below it, no part of a path may be a link. The
links above it are those of the machine's owner. `openat2` does the same in one call, but Python has no wrapper for it,
and some sandboxes do not have it.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Literal

from shared.mirror.attached import mirror_of
from shared.problems import FitstopError

# More than any document of Fitstop has: a manifest of ten thousand checkpoints takes 4 MB.
MOST_DOCUMENT_BYTES = 16 * 1024**2
# More than a training log of a million epochs has.
MOST_FILE_BYTES = 256 * 1024**2

_PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# Only Linux has O_PATH, which needs no permission to list the folder.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
# The file or a folder above it is a link, or the file is a socket.
_NOT_PLAIN = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENXIO})

_guarded: set[str] = set()


class UnusableDocument(FitstopError, ValueError):
    """A file on the volume that this version cannot use. The message names the file and the problem."""

    code: Literal["damaged_record", "newer_format"] = "damaged_record"


def guard(root: Path) -> None:
    """Make this process follow no link below `root`."""
    _guarded.add(os.fspath(root))


def open_plain(path: Path | str) -> BufferedReader:
    """Open the file at `path` to read it. Never waits for another process.

    Raises UnusableDocument if it is not a regular file or is reached through a link, FileNotFoundError, OSError.
    """
    name = os.fspath(path)
    try:
        return open(_open_regular(name, os.O_RDONLY), "rb")
    except FileNotFoundError:
        mirror = mirror_of(name)
        if mirror is None or not mirror.fetch(Path(name)):
            raise
    return open(_open_regular(name, os.O_RDONLY), "rb")


def open_plain_to_write(path: Path | str) -> FileIO:
    """Open the existing file at `path` to read and write it without a buffer. Raises as `open_plain`."""
    return FileIO(_open_regular(os.fspath(path), os.O_RDWR), "r+")


def _open_regular(name: str, mode: int) -> int:
    try:
        descriptor = _open(name, mode)
    except OSError as error:
        error.filename = name
        if error.errno in _NOT_PLAIN:
            raise _not_plain(name) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_plain(name)
    return descriptor


@contextmanager
def open_folder(path: Path | str) -> Iterator[int]:
    """Open a descriptor of the folder at `path` to read it. Raises as `open_plain`."""
    name = os.fspath(path)
    try:
        descriptor = _open(name, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        error.filename = name
        if error.errno in _NOT_PLAIN:
            raise UnusableDocument(f"{document_name(name)} is not a folder, or is reached through a link") from error
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_plain(path: Path | str, most_bytes: int = MOST_DOCUMENT_BYTES) -> bytes | None:
    """The content of the file; None if it does not exist. Raises UnusableDocument, also above `most_bytes`."""
    try:
        file = open_plain(path)
    except FileNotFoundError:
        return None
    with file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(most_bytes + 1) if size <= most_bytes else None
    if content is None or len(content) > most_bytes:
        raise UnusableDocument(f"{document_name(path)} has {size} bytes, expected at most {most_bytes}")
    return content


def document_name(path: Path | str) -> str:
    """The name of a file of the volume for people: its path from `attempts` on, else its own name."""
    parts = os.fspath(path).split("/")
    return "/".join(parts[parts.index("attempts") :]) if "attempts" in parts else parts[-1]


def _not_plain(name: str) -> UnusableDocument:
    return UnusableDocument(f"{document_name(name)} is not a regular file, or is reached through a link")


def _open(name: str, mode: int) -> int:
    root = _guard_of(name)
    if root is None:
        return os.open(name, mode | _PLAIN)
    *folders, last = name[len(root) + 1 :].split("/")
    if ".." in folders:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    here = os.open(root, _FOLDER)
    try:
        for folder in folders:
            above, here = here, os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(above)
        return os.open(last, mode | _PLAIN, dir_fd=here)
    finally:
        os.close(here)


def _guard_of(name: str) -> str | None:
    """The guarded folder that contains `name`, or None."""
    end = name.rfind("/")
    while end > 0:
        if name[:end] in _guarded:
            return name[:end]
        end = name.rfind("/", 0, end)
    return None
