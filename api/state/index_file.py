"""The index's SQLite file: rows in, ids out. `api.state.index` describes its content."""

import atexit
import fcntl
import hashlib
import logging
import re
import shutil
import sqlite3
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.document import FORMAT
from shared.job import TERMINAL
from shared.volume import Volume

# What the column `status` holds beside the terminal states. A folder whose spec is not there yet, and a job whose
# documents cannot be read, are known and never listed.
OPEN, UNBORN, DAMAGED = "open", "unborn", "damaged"

_PAGE = 128
_VERSION = 3
_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
  id TEXT PRIMARY KEY, shard TEXT, status TEXT, name TEXT, created_at TEXT, project TEXT, finished_at TEXT,
  shown TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_shard ON job (shard);
CREATE INDEX IF NOT EXISTS job_status ON job (status, id);
CREATE INDEX IF NOT EXISTS job_name ON job (name, id);
CREATE INDEX IF NOT EXISTS job_project ON job (project, id);
CREATE INDEX IF NOT EXISTS job_project_status ON job (project, status, id);
CREATE INDEX IF NOT EXISTS job_project_name ON job (project, name, id);
CREATE TABLE IF NOT EXISTS metadata (key TEXT, value TEXT, id TEXT, PRIMARY KEY (key, value, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS metadata_id ON metadata (id);
CREATE TABLE IF NOT EXISTS shard (name TEXT PRIMARY KEY, changed INTEGER) WITHOUT ROWID;
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """Which jobs a list is to hold. Times are RFC 3339 in UTC with milliseconds, as a job's `created_at` is.

    `name` is the whole name that a job was given, `search` a part of the one that it is shown under, in any case of its
    Latin letters. Only terminal jobs have finished: with `finished_after` or `finished_before` no other one is listed.
    """

    after: str = ""
    project: str | None = None
    statuses: frozenset[str] = frozenset()
    name: str | None = None
    search: str | None = None
    created_after: str | None = None
    created_before: str | None = None
    finished_after: str | None = None
    finished_before: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Entry:
    """One job as it is indexed; `shown` is its name, or the id of what it is made from."""

    id: str
    status: str
    name: str = ""
    created_at: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    project: str | None = None
    finished_at: str | None = None
    shown: str = ""


class IndexFile:
    """One process's hold on the file. Every method may raise sqlite3.Error; then the file is worth nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
        weakref.finalize(self, self._connection.close)
        # Nothing here has to outlive a power cut.
        self._connection.executescript(
            f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -32000; {_SCHEMA}"
        )

    @contextmanager
    def only_builder(self) -> Iterator[None]:
        """Of this host's processes one at a time is in here."""
        with self._path.with_name(self._path.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def delete(self) -> None:
        """Take the file away; processes that have it open keep what they have."""
        for ending in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def ids(self, wanted: Wanted) -> Iterator[tuple[str, str]]:
        """The jobs that may be wanted with their indexed states, newest first; the open ones always among them.

        A page is one statement and so one moment: a job that ends meanwhile is neither lost nor seen twice.
        """
        after = wanted.after
        while True:
            found = self._rows(*_query(wanted, after))
            yield from found
            if len(found) < _PAGE:
                return
            after = found[-1][0]

    def ids_of_shard(self, shard: str) -> set[str]:
        return {row[0] for row in self._rows("SELECT id FROM job WHERE shard = ?", [shard])}

    def ids_of_state(self, status: str) -> set[str]:
        return {row[0] for row in self._rows("SELECT id FROM job WHERE status = ?", [status])}

    def counts(self, project: str | None) -> dict[str, int]:
        """How many jobs there are of each terminal state, in one project or in all."""
        where, values = ("", []) if project is None else ("WHERE project = ?", [project])
        found = dict(self._rows(f"SELECT status, COUNT(*) FROM job {where} GROUP BY status", values))  # noqa: S608
        return {status: found.get(status, 0) for status in TERMINAL}

    def shards(self) -> dict[str, int]:
        """The shards that are wholly known, each with the time of its last change."""
        return dict(self._rows("SELECT name, changed FROM shard", []))

    def put(self, entries: Sequence[Entry], shards: Sequence[tuple[str, int]] = ()) -> None:
        """Put these jobs in place of what was known of them; `shards` are wholly known with them."""
        rows = [
            (one.id, one.id[-2:], one.status, one.name, one.created_at, one.project, one.finished_at, one.shown)
            for one in entries
        ]
        pairs = [(key, value, one.id) for one in entries for key, value in one.metadata]
        self._write(
            ("REPLACE INTO job VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows),
            ("REPLACE INTO metadata VALUES (?, ?, ?)", pairs),
            ("REPLACE INTO shard VALUES (?, ?)", shards),
        )

    def remove(self, ids: Sequence[str]) -> None:
        keys = [(job_id,) for job_id in ids]
        self._write(("DELETE FROM metadata WHERE id = ?", keys), ("DELETE FROM job WHERE id = ?", keys))

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def _write(self, *statements: tuple[str, Sequence[Sequence[Any]]]) -> None:
        with self._lock, self._connection:
            for statement, rows in statements:
                self._connection.executemany(statement, rows)


def index_path(folder: Path, volume: Volume) -> Path:
    """Where the index of a volume lies below `folder`; in a folder of this process alone where that cannot be written.

    Another volume at the same path is another file: its folder is another one.
    """
    jobs = volume.jobs.stat()
    identity = f"{volume.root.resolve()} {jobs.st_dev} {jobs.st_ino}"
    # A newer version can read what this one calls damaged.
    name = f"jobs-{_VERSION}.{FORMAT}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.sqlite"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder / name
    except OSError as error:
        own = Path(tempfile.mkdtemp(prefix="fitstop-index-"))
        atexit.register(shutil.rmtree, own, ignore_errors=True)
        log.warning("no index can be kept in %s (%s); %s is used, and only by this process", folder, error, own)
        return own / name


def _pattern(search: str | None) -> str | None:
    return None if search is None else "%" + re.sub("[!%_]", r"!\g<0>", search) + "%"


def _query(wanted: Wanted, after: str) -> tuple[str, list[Any]]:
    states = sorted(wanted.statuses & TERMINAL | {OPEN}) if wanted.statuses else [None]
    parts = [_part(wanted, after, state) for state in states]
    union = ") UNION ALL SELECT * FROM (".join(query for query, _ in parts)
    return f"SELECT * FROM ({union}) ORDER BY id DESC LIMIT {_PAGE}", [value for _, values in parts for value in values]  # noqa: S608


def _part(wanted: Wanted, after: str, state: str | None) -> tuple[str, list[Any]]:
    """The first page of one state's jobs, or of all; each state by itself, so that its index is walked in order."""
    conditions: list[tuple[str, Sequence[str | None]]] = [
        ("status = ?", [state]),
        ("status NOT IN (?, ?)", [UNBORN, DAMAGED]),
        ("id < ?", [after or None]),
        ("project = ?", [wanted.project]),
        ("name = ?", [wanted.name]),
        ("shown LIKE ? ESCAPE '!'", [_pattern(wanted.search)]),
        ("created_at > ?", [wanted.created_after]),
        ("created_at < ?", [wanted.created_before]),
        ("finished_at >= ?", [wanted.finished_after]),
        ("finished_at < ?", [wanted.finished_before]),
        *(("id IN (SELECT id FROM metadata WHERE key = ? AND value = ?)", pair) for pair in wanted.metadata),
    ]
    asked = [(text, values) for text, values in conditions if None not in values]
    where = " AND ".join(text for text, _ in asked)
    query = f"SELECT id, status FROM job WHERE {where} ORDER BY id DESC LIMIT {_PAGE}"  # noqa: S608  our own words only
    return query, [value for _, values in asked for value in values]
