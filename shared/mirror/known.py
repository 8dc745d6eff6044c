"""What this machine knows of the bucket: the version of each object, and whether its content is in the folder.

In SQLite beside the folder, so that a process that starts again brings only what has changed, and so that the processes
of one API know the same.
"""

import sqlite3
import threading
from collections.abc import Iterable
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
            "CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, size INTEGER, version TEXT, here INTEGER)"
            " WITHOUT ROWID"
        )

    def below(self, folder: str) -> dict[str, Known]:
        """The files below a folder, by name; all without one."""
        # The byte behind a slash: everything that begins with `folder/` lies between the two.
        bounds = (f"{folder}/", f"{folder}0") if folder else ("", "\U0010ffff")
        with self._one_at_a_time:
            rows = self._table.execute(
                "SELECT name, size, version, here FROM files WHERE name >= ? AND name < ?", bounds
            ).fetchall()
        return {name: Known(size, version, bool(here)) for name, size, version, here in rows}

    def find(self, name: str) -> Known | None:
        with self._one_at_a_time:
            row = self._table.execute("SELECT size, version, here FROM files WHERE name = ?", (name,)).fetchone()
        return None if row is None else Known(row[0], row[1], bool(row[2]))

    def put(self, files: Iterable[tuple[str, Known]]) -> None:
        rows = [(name, *known) for name, known in files]
        with self._one_at_a_time:
            self._table.execute("BEGIN")
            self._table.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
            self._table.execute("COMMIT")

    def forget(self, names: Iterable[str]) -> None:
        with self._one_at_a_time:
            self._table.execute("BEGIN")
            self._table.executemany("DELETE FROM files WHERE name = ?", [(name,) for name in names])
            self._table.execute("COMMIT")

    def close(self) -> None:
        with self._one_at_a_time:
            self._table.close()
