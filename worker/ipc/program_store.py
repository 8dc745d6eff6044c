"""The store of compiled programs: a folder for each compiler, on a machine's own disk.

    <parent>/<compiler>/<name>   one program: a line with its digest, then the bytes that XLA wrote

The digest covers the compiler, the name and the bytes. XLA does not read these files. It reads the copies that
`restore` makes of files whose digest is correct.
"""

import hashlib
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from shared.durable import create_file
from shared.plain_files import UnusableDocument, read_plain

# On a CPU, a small model has two programs, of half a megabyte or less, for each shape of its data.
_MOST_STORED_BYTES = 256 * 1024**2
_MOST_RESTORED_BYTES = 64 * 1024**2

log = logging.getLogger(__name__)


class _File(NamedTuple):
    written_at: int
    path: Path
    size: int


def make_store(path: Path) -> Path:
    """Create the folder `path` and its parent, only for this user, and return it.

    Raises OSError, also if one of them is a link or other users may use it: what they write there would be executed.
    """
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    for folder in (path.parent, path):
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PermissionError(0, "expected a folder of this user with mode 0700; remove it", str(folder))
    return path


def restore(store: Path, prefix: str, into: Path) -> frozenset[str]:
    """Copy the programs whose names begin with `prefix` into a folder, the newest first; return their names.

    Copies a maximum of 64 MiB. A file with a wrong digest is removed. Raises OSError.
    """
    names, left = set(), _MOST_RESTORED_BYTES
    for file in sorted(_files(store), reverse=True):
        if not file.path.name.startswith(prefix):
            continue
        left -= file.size
        if left < 0:
            break
        content = read(store, file.path.name)
        if content is not None:
            (into / file.path.name).write_bytes(content)
            names.add(file.path.name)
    return frozenset(names)


def put(store: Path, program: Path) -> None:
    """Store a program that XLA has written, unless one of that name exists. Raises OSError.

    The oldest programs of all compilers are removed above 256 MiB.
    """
    put_content(store, program.name, program.read_bytes())


def put_content(store: Path, name: str, content: bytes) -> None:
    """Store a program as `put` does, from bytes that are not in a file."""
    create_file(store / name, _first_line(store, name, content) + content)
    held = 0
    for file in sorted((file for folder in store.parent.iterdir() for file in _files(folder)), reverse=True):
        held += file.size
        if held > _MOST_STORED_BYTES:
            _remove(file.path)


def remove(store: Path, name: str) -> None:
    """Remove the program of that name."""
    _remove(store / name)


def empty(store: Path) -> None:
    """Remove all programs of this compiler."""
    for file in _files(store):
        _remove(file.path)


def read(store: Path, name: str) -> memoryview | None:
    """The program of that name; None if there is none, or it is damaged and was removed. Raises OSError."""
    path = store / name
    try:
        kept = read_plain(path, _MOST_STORED_BYTES)
        if kept is None:
            return None
        content = memoryview(kept)[kept.find(b"\n") + 1 :]
        if kept.startswith(_first_line(store, name, content)):
            return content
    except UnusableDocument:
        pass
    log.warning("the compiled program %s is damaged; it is removed and compiled again", path)
    _remove(path)
    return None


def _first_line(store: Path, name: str, content: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(f"{store.name}/{name}\n".encode())
    digest.update(content)
    return f"fitstop-program 1 {digest.hexdigest()}\n".encode()


def _files(folder: Path) -> Iterator[_File]:
    """Yield the files of a folder. A folder or a file that has disappeared is left out."""
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                found = path.lstat()
                yield _File(found.st_mtime_ns, path, found.st_size)


def _remove(path: Path) -> None:
    """Remove a file. Does nothing if it does not exist or is not a file."""
    with suppress(OSError):
        path.unlink()
