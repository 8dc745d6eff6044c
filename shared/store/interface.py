"""What every store of a volume's files does, and how it fails.

    StoreError              the store did not do it
    ├── NoAnswer            it does not answer, or fails; the same call may succeed later
    ├── FileChanged         the file was replaced while it was read
    └── AccessDenied        it does not accept who asks: no credentials, wrong ones, or too few rights
    BadName                 no file of a volume has such a name

A name is like `jobs/ab/<id>/spec.json`: parts between slashes, relative to the store. No file's name is the beginning
of another one's, up to a slash: `a` and `a/b` exclude each other, as a file and a folder do.
"""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from shared.problems import FitstopError

_MOST_PART_BYTES = 255


class StoreError(FitstopError):
    """The store did not do it; the message says where and why, and holds no credentials."""

    code = "store_error"


class NoAnswer(StoreError):
    """No answer, or a failure of the store's own, also after several tries. What was asked may have been done."""

    code = "store_unreachable"


class FileChanged(StoreError):
    """The file was replaced while it was read; the same call reads the new one."""

    code = "store_file_changed"


class AccessDenied(StoreError):
    """The store does not let us do this."""

    code = "store_denied"


class BadName(FitstopError, ValueError):
    """A name that no file of a volume has."""

    code = "bad_name"


class Entry(NamedTuple):
    """A file in a list. `version` changes whenever the file does; `modified_ns` is in ns since 1970."""

    name: str
    size: int
    modified_ns: int
    version: str


class Store(Protocol):
    """The files of a volume. What one call has written, every later call of anybody sees, also in lists.

    All calls raise StoreError and BadName; a store in a folder raises OSError, too.
    """

    @property
    def place(self) -> str:
        """Where it is, for people: a path or an address."""

    @property
    def keeps_times(self) -> bool:
        """Whether a file has the time that `replace` was given."""

    def create(self, name: str, content: bytes) -> bool:
        """Create the file whole, unless it is there already; of several callers at once exactly one gets True."""

    def replace(self, name: str, pieces: Iterable[bytes], modified_ns: int | None = None) -> None:
        """Put a file in place of what was there, whole or not at all. The pieces follow one another.

        Only the file's one writer may call this. What `pieces` raises goes to the caller, and nothing has changed.
        """

    def read(self, name: str) -> bytes | None:
        """What a small file holds; None where there is none. Raises UnusableDocument above 16 MiB."""

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """Bytes from `start` on, fewer than `length` at the file's end. Raises FileNotFoundError, FileChanged.

        `start` is less than the file's size, and `length` is 1 or more.
        """

    def stream(self, name: str) -> Iterator[bytes]:
        """A file of any size in pieces, as it was at one moment. Raises FileNotFoundError, FileChanged."""

    def list(self, folder: str = "") -> Iterator[Entry]:
        """All files whose names begin with `folder` and a slash, at any depth; without `folder` all files."""

    def remove(self, name: str) -> None:
        """Remove a file for good; nothing happens where there is none."""

    def once(self) -> "Store":
        """The same files, for who must know of each request that fails: `replace` and `remove` are not repeated here.

        Such a request may still be carried out when the call has raised NoAnswer.
        """

    def remove_leftovers(self) -> None:
        """Remove what killed processes have left of files that they wrote. Only while nobody else writes."""


def check_name(name: str) -> None:
    """Raise BadName for what is no name of a file, or would lead out of the store."""
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise BadName(f"{name!r} is not the name of a file: it has an empty part, `.` or `..`")
    if "\0" in name:
        raise BadName(f"{name!r} is not the name of a file: it has a NUL character")
    if max(len(os.fsencode(part)) for part in parts) > _MOST_PART_BYTES:
        raise BadName(f"{name!r} is not the name of a file: a part is longer than {_MOST_PART_BYTES} bytes")
