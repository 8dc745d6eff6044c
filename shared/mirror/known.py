"""What this machine knows about the bucket: the version of each object, and whether the folder has its content.

Stored in SQLite beside the folder, so that a restarted process downloads only what has changed, and the processes of
one API share it.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Known(NamedTuple):
    """A file of the bucket as it was last seen."""

    size: int
    version: str
    is_here: bool


class KnownFiles:
    """For all threads of a process; other processes may use the same file."""

    def __init__(self, file: Path) -> None:
        self._one_at_a_time = threading.Lock()
        self._table = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=30)
        self._table.execute("PRAGMA journal_mode=WAL")
        self._table.execute("PRAGMA synchronous=OFF")
        self._table.execute(
            "CREATE TABLE IF NOT EXISTS files (name BLOB PRIMARY KEY, size INTEGER, version TEXT, here INTEGER)"
            " WITHOUT ROWID"
        )

    def below(self, folder: str) -> dict[str, Known]:
        """The files below a folder, by name; all files if `folder` is empty."""
        # `0` is the byte after the slash: everything that begins with `folder/` lies between the two.
        bounds = (_key(f"{folder}/"), _key(f"{folder}0")) if folder else (b"", b"\xff")
        with self._one_at_a_time:
            rows = self._table.execute(
                "SELECT name, size, version, here FROM files WHERE name >= ? AND name < ?", bounds
            ).fetchall()
        return {os.fsdecode(name): Known(size, version, bool(here)) for name, size, version, here in rows}

    def find(self, name: str) -> Known | None:
        with self._one_at_a_time:
            return self._find(name)

    def put(self, files: Iterable[tuple[str, Known]]) -> None:
        with self._changing():
            self._put(files)

    def forget(self, names: Iterable[str]) -> None:
        with self._changing():
            self._forget(names)

    def change(self, name: str, before: Known | None, after: Known | None, act: Callable[[], object]) -> bool:
        """Call `act`, which changes the file in the folder, and record `after`; None: the file no longer exists.

        Returns False and does nothing if `before` is outdated, because another look has downloaded or removed the file
        since. So a look with an older list never undoes what one with a newer list has done.
        """
        with self._changing():
            if self._find(name) != before:
                return False
            act()
            if after is None:
                self._forget([name])
            else:
                self._put([(name, after)])
        return True

    def close(self) -> None:
        with self._one_at_a_time:
            self._table.close()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Run one change at a time, across all threads and processes."""
        with self._one_at_a_time:
            self._table.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._table.execute("ROLLBACK")
                raise
            self._table.execute("COMMIT")

    def _find(self, name: str) -> Known | None:
        found = "SELECT size, version, here FROM files WHERE name = ?"
        row = self._table.execute(found, (_key(name),)).fetchone()
        return None if row is None else Known(row[0], row[1], bool(row[2]))

    def _put(self, files: Iterable[tuple[str, Known]]) -> None:
        rows = [(_key(name), *known) for name, known in files]
        self._table.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)

    def _forget(self, names: Iterable[str]) -> None:
        self._table.executemany("DELETE FROM files WHERE name = ?", [(_key(name),) for name in names])


def _key(name: str) -> bytes:
    # A script may give its files names that are not UTF-8, which SQLite cannot store as text.
    return os.fsencode(name)
