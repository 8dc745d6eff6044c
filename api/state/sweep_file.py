"""A cache of sweeps: an SQLite file on this host's own disk, so that 5,000 finished trials are not read again.

It contains the finished trials of a sweep, and the summary of an ended sweep. They can change only when a job is
deleted. A deletion also changes the modification time of the folder of the sweep's trials, so a summary is valid for
one such time. The file may be deleted at any moment. It is created again if it is missing or damaged.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from api.state.index_file import index_path
from shared.sweep.folder import sweep_ids
from shared.sweep.trial import TrialSummary
from shared.volume import Volume

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS trial (sweep TEXT, number INTEGER, facts TEXT, PRIMARY KEY (sweep, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS summary (sweep TEXT PRIMARY KEY, changed INTEGER, facts TEXT) WITHOUT ROWID;
"""
_TRIAL, _TRIALS = TypeAdapter(TrialSummary), TypeAdapter(list[TrialSummary])
_Answer = TypeVar("_Answer")

log = logging.getLogger(__name__)


class SweepFile:
    """The file, opened by one process. If it cannot be used, reads return nothing and writes are dropped."""

    def __init__(self, volume: Volume, folder: Path) -> None:
        self._volume = volume
        self._folder = folder
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def trials(self, sweep_id: str) -> dict[int, TrialSummary]:
        """The cached finished trials of a sweep, by their numbers."""

        def read(file: sqlite3.Connection) -> dict[int, TrialSummary]:
            rows = file.execute("SELECT facts FROM trial WHERE sweep = ?", [sweep_id]).fetchall()
            return {one.number: one for one in _TRIALS.validate_json(f"[{','.join(row[0] for row in rows)}]")}

        return self._use(read) or {}

    def keep_trials(self, sweep_id: str, trials: Iterable[TrialSummary]) -> None:
        """Store these finished trials."""
        rows = [(sweep_id, one.number, _TRIAL.dump_json(one).decode()) for one in trials]
        self._use(lambda file: file.executemany("REPLACE INTO trial VALUES (?, ?, ?)", rows))

    def summary(self, sweep_id: str, changed: int) -> str | None:
        """The summary (JSON) of an ended sweep whose folder of trials was last changed at `changed`, in nanoseconds."""
        query = "SELECT facts FROM summary WHERE sweep = ? AND changed = ?"
        row = self._use(lambda file: file.execute(query, [sweep_id, changed]).fetchone())
        return str(row[0]) if row else None

    def keep_summary(self, sweep_id: str, changed: int, summary: str) -> None:
        """Store the summary of an ended sweep."""
        row = (sweep_id, changed, summary)
        self._use(lambda file: file.execute("REPLACE INTO summary VALUES (?, ?, ?)", row))

    def _use(self, act: Callable[[sqlite3.Connection], _Answer]) -> _Answer | None:
        """The result of `act`. If the file cannot be used, delete it and return None."""
        with self._lock:
            try:
                self._connection = self._connection or self._open()
                with self._connection:
                    return act(self._connection)
            except (sqlite3.Error, ValidationError, OSError) as error:
                log.warning("the cache of sweeps cannot be used and is built again: %s", error)
                self._delete()
                return None

    @property
    def _path(self) -> Path:
        return index_path(self._folder, self._volume, "sweeps", _VERSION)

    def _open(self) -> sqlite3.Connection:
        file = sqlite3.connect(self._path, timeout=10, check_same_thread=False)
        # The cache may be lost in a power failure, so nothing waits for the disk.
        file.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; {_SCHEMA}")
        gone = {row[0] for row in file.execute("SELECT DISTINCT sweep FROM trial")} - set(sweep_ids(self._volume))
        with file:
            for table in ("trial", "summary"):
                file.executemany(f"DELETE FROM {table} WHERE sweep = ?", [(one,) for one in gone])  # noqa: S608
        return file

    def _delete(self) -> None:
        if self._connection is not None:
            with closing(self._connection):
                self._connection = None
        for ending in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
