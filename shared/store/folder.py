"""A store in a folder of a filesystem with hard links."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from shared.durable import TEMPORARY_SUFFIX, create_file, make_folder, remove_file, replace_from
from shared.plain_files import guard, open_folder, open_plain, read_plain
from shared.store.interface import Entry, StoreError, check_name

# Number of tries while others remove the same folder because it is empty.
_TRIES = 10
_PIECE_BYTES = 1024**2
# What `shared.durable` writes beside a file. A script may give its own files similar names.
_TEMPORARY = re.compile(rf"\..+\.[0-9a-f]{{12}}{re.escape(TEMPORARY_SUFFIX)}", re.DOTALL)


class FolderStore:
    """The files below `root`. Links below it are not followed; only regular files are listed."""

    keeps_times = True

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        guard(self.root)

    @property
    def place(self) -> str:
        return str(self.root)

    def create(self, name: str, content: bytes) -> bool:
        for _ in range(_TRIES):
            path = self._make_place(name)
            with suppress(FileNotFoundError):
                return create_file(path, content)
        raise self._vanishes(name)

    def replace(self, name: str, pieces: Iterable[bytes], modified_ns: int | None = None) -> None:
        replace_from(self._make_place(name), pieces, modified_ns)

    def read(self, name: str) -> bytes | None:
        return read_plain(self._path(name))

    def read_range(self, name: str, start: int, length: int) -> bytes:
        with open_plain(self._path(name)) as file:
            file.seek(start)
            return file.read(length)

    def stream(self, name: str) -> Iterator[bytes]:
        with open_plain(self._path(name)) as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece

    def list(self, folder: str = "") -> Iterator[Entry]:
        if folder:
            check_name(folder)
        return (entry for entry in self._walk(folder) if not _is_temporary(entry.name))

    def once(self) -> "FolderStore":
        return self

    def remove_leftovers(self) -> None:
        for entry in self._walk(""):
            if _is_temporary(entry.name):
                (self.root / entry.name).unlink(missing_ok=True)

    def _walk(self, folder: str) -> Iterator[Entry]:
        pending = [folder]
        while pending:
            here = pending.pop()
            for entry in self._scan(here):
                name = f"{here}/{entry.name}" if here else entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(name)
                elif entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):
                        yield _entry(name, entry.stat(follow_symlinks=False))

    def remove(self, name: str) -> None:
        path = self._path(name)
        with suppress(FileNotFoundError):
            remove_file(path)
        self._remove_empty(path.parent)

    def _path(self, name: str) -> Path:
        check_name(name)
        return self.root / name

    def _make_place(self, name: str) -> Path:
        """Make the folder of a file, to which no link may lead, and return the file's path."""
        path = self._path(name)
        make_folder(path.parent)
        with suppress(FileNotFoundError), open_folder(path.parent):
            pass
        return path

    def _scan(self, folder: str) -> Iterator[os.DirEntry[str]]:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.root / folder) as found:
            yield from found

    def _remove_empty(self, folder: Path) -> None:
        """Remove this folder and those above it that are empty: a bucket has none either."""
        with suppress(OSError):
            while folder != self.root:
                folder.rmdir()
                folder = folder.parent

    def _vanishes(self, name: str) -> StoreError:
        return StoreError(f"{self.root / name} could not be created: its folder was removed {_TRIES} times meanwhile")


def _is_temporary(name: str) -> bool:
    return _TEMPORARY.fullmatch(name.rpartition("/")[2]) is not None


def _entry(name: str, found: os.stat_result) -> Entry:
    return Entry(name, found.st_size, found.st_mtime_ns, f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}")
