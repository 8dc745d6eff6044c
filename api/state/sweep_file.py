"""What was read of sweeps: a disposable SQLite file on this host's own disk, so that nobody reads 5,000 trials again.

It is never a truth. It holds only what cannot change any more, but for the deletion of a job: the finished trials of a
sweep, and the summary of a sweep that has ended. The folder of a sweep's trials changes with such a deletion, too; so a
summary is of one moment of it. The file may be deleted at any moment, and is made again where it is missing or damaged.
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
    """One process's hold on the file. Without a file nothing is known and nothing is kept."""

    def __init__(self, volume: Volume, folder: Path) -> None:
        self._volume = volume
        self._folder = folder
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def trials(self, sweep_id: str) -> dict[int, TrialSummary]:
        """The finished trials of a sweep that are known, by their numbers."""

        def read(file: sqlite3.Connection) -> dict[int, TrialSummary]:
            rows = file.execute("SELECT facts FROM trial WHERE sweep = ?", [sweep_id]).fetchall()
            return {one.number: one for one in _TRIALS.validate_json(f"[{','.join(row[0] for row in rows)}]")}

        return self._use(read) or {}

    def keep_trials(self, sweep_id: str, trials: Iterable[TrialSummary]) -> None:
        """Put these finished trials in place of what was known of them."""
        rows = [(sweep_id, one.number, _TRIAL.dump_json(one).decode()) for one in trials]
        self._use(lambda file: file.executemany("REPLACE INTO trial VALUES (?, ?, ?)", rows))

    def summary(self, sweep_id: str, changed: int) -> str | None:
        """The summary of an ended sweep whose folder of trials changed at `changed` for the last time."""
        query = "SELECT facts FROM summary WHERE sweep = ? AND changed = ?"
        row = self._use(lambda file: file.execute(query, [sweep_id, changed]).fetchone())
        return str(row[0]) if row else None

    def keep_summary(self, sweep_id: str, changed: int, summary: str) -> None:
        """Put the summary of an ended sweep in place of the one that was known."""
        row = (sweep_id, changed, summary)
        self._use(lambda file: file.execute("REPLACE INTO summary VALUES (?, ?, ?)", row))

    def _use(self, act: Callable[[sqlite3.Connection], _Answer]) -> _Answer | None:
        """What `act` answers; None where the file cannot be used, which is thrown away then."""
        with self._lock:
            try:
                self._connection = self._connection or self._open()
                with self._connection:
                    return act(self._connection)
            except (sqlite3.Error, ValidationError, OSError) as error:
                log.warning("what was kept of the sweeps cannot be used and is read again: %s", error)
                self._throw_away()
                return None

    @property
    def _path(self) -> Path:
        return index_path(self._folder, self._volume, "sweeps", _VERSION)

    def _open(self) -> sqlite3.Connection:
        file = sqlite3.connect(self._path, timeout=10, check_same_thread=False)
        # Nothing here has to outlive a power cut.
        file.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; {_SCHEMA}")
        gone = {row[0] for row in file.execute("SELECT DISTINCT sweep FROM trial")} - set(sweep_ids(self._volume))
        with file:
            for table in ("trial", "summary"):
                file.executemany(f"DELETE FROM {table} WHERE sweep = ?", [(one,) for one in gone])  # noqa: S608
        return file

    def _throw_away(self) -> None:
        if self._connection is not None:
            with closing(self._connection):
                self._connection = None
        for ending in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
