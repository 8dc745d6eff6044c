"""What every store of a volume's files does, and how it fails.

    StoreError              the request failed
    ├── NoAnswer            the store does not answer, or fails; the same call may succeed later
    ├── FileChanged         the file was replaced while it was read
    └── AccessDenied        the store rejects the caller: no credentials, wrong ones, or too few rights
    BadName                 no file of a volume can have this name

A name is like `jobs/ab/<id>/spec.json`: parts between slashes, relative to the store. `a` and `a/b` exclude each other,
as a file and a folder do.
"""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from shared.problems import FitstopError

_MOST_PART_BYTES = 255


class StoreError(FitstopError):
    """The request failed. The message says where and why, and contains no credentials."""

    code = "store_error"


class NoAnswer(StoreError):
    """The store did not answer, or failed, even after several tries. The request may have been carried out."""

    code = "store_unreachable"


class FileChanged(StoreError):
    """The file was replaced while it was read. The same call reads the new one."""

    code = "store_file_changed"


class AccessDenied(StoreError):
    """The store does not allow this request."""

    code = "store_denied"


class BadName(FitstopError, ValueError):
    """No file of a volume can have this name."""

    code = "bad_name"


class Entry(NamedTuple):
    """A file in a list. `version` changes whenever the file does; `modified_ns` is in ns since 1970."""

    name: str
    size: int
    modified_ns: int
    version: str


class Store(Protocol):
    """The files of a volume. Every later call, from any process, sees what a call has written, also in lists.

    All calls raise StoreError and BadName; a store in a folder raises OSError, too.
    """

    @property
    def place(self) -> str:
        """Where it is, for people: a path or an address."""

    @property
    def keeps_times(self) -> bool:
        """Whether a file keeps the time that `replace` was given."""

    def create(self, name: str, content: bytes) -> bool:
        """Create the whole file unless it exists already. Of several concurrent callers exactly one gets True."""

    def replace(self, name: str, pieces: Iterable[bytes], modified_ns: int | None = None) -> None:
        """Create or replace a file with the joined pieces, whole or not at all.

        Only the file's one writer may call this. If `pieces` raises, the caller gets that error and nothing has
        changed.
        """

    def read(self, name: str) -> bytes | None:
        """The content of a small file; None if it does not exist. Raises UnusableDocument above 16 MiB."""

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """Read `length` bytes from `start`, or fewer at the file's end. Raises FileNotFoundError, FileChanged.

        `start` is less than the file's size, and `length` is 1 or more.
        """

    def stream(self, name: str) -> Iterator[bytes]:
        """A file of any size in pieces, as it was at one moment. Raises FileNotFoundError, FileChanged."""

    def list(self, folder: str = "") -> Iterator[Entry]:
        """All files whose names begin with `folder` and a slash, at any depth; without `folder` all files."""

    def remove(self, name: str) -> None:
        """Remove a file permanently, if it exists."""

    def once(self) -> "Store":
        """The same store, but it does not repeat `replace` and `remove`, so that the caller knows of each failure.

        Such a request may still be carried out after the call has raised NoAnswer.
        """

    def remove_leftovers(self) -> None:
        """Remove the unfinished files of killed processes. Only while no other process writes."""


def check_name(name: str) -> None:
    """Raise BadName if this is not the name of a file, or would lead out of the store."""
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise BadName(f"{name!r} is not the name of a file: it has an empty part, `.` or `..`")
    if "\0" in name:
        raise BadName(f"{name!r} is not the name of a file: it has a NUL character")
    if max(len(os.fsencode(part)) for part in parts) > _MOST_PART_BYTES:
        raise BadName(f"{name!r} is not the name of a file: a part is longer than {_MOST_PART_BYTES} bytes")
