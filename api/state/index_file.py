"""The SQLite file of the index, and its queries. `api.state.index` describes its content."""

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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from shared.document import FORMAT
from shared.job import TERMINAL
from shared.volume import Volume

# Values of the column `status` beside the final ones. A job whose spec is not stored yet, and one whose documents
# cannot be read, are in the index and in no list.
OPEN, NO_SPEC, DAMAGED = "open", "unborn", "damaged"
# The id of the sweep for a job that is not a trial.
NO_SWEEP = ""

_PAGE = 128
_VERSION = 5
_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
  id TEXT PRIMARY KEY, shard TEXT, status TEXT, name TEXT, created_at TEXT, project TEXT, finished_at TEXT,
  shown TEXT, folded TEXT, source TEXT, priority INTEGER, best REAL, epoch INTEGER, sweep TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_shard ON job (shard);
CREATE INDEX IF NOT EXISTS job_status ON job (status, id);
CREATE INDEX IF NOT EXISTS job_name ON job (name, id);
CREATE INDEX IF NOT EXISTS job_project ON job (project, id);
CREATE INDEX IF NOT EXISTS job_project_status ON job (project, status, id);
CREATE INDEX IF NOT EXISTS job_project_name ON job (project, name, id);
CREATE INDEX IF NOT EXISTS job_sweep ON job (sweep, id);
CREATE INDEX IF NOT EXISTS job_best ON job (best, id);
CREATE INDEX IF NOT EXISTS job_finished ON job (finished_at, id);
CREATE TABLE IF NOT EXISTS metadata (key TEXT, value TEXT, id TEXT, PRIMARY KEY (key, value, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS metadata_id ON metadata (id, key, value);
CREATE TABLE IF NOT EXISTS tag (tag TEXT, id TEXT, PRIMARY KEY (tag, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tag_id ON tag (id);
CREATE TABLE IF NOT EXISTS annotated (id TEXT PRIMARY KEY, change INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shard (name TEXT PRIMARY KEY, changed INTEGER) WITHOUT ROWID;
"""

# The orders of a list, and the column of each. The last three are unknown for an unfinished job.
ORDERS = {
    "created": "id",
    "name": "folded",
    "source": "source",
    "priority": "priority",
    "finished": "finished_at",
    "best": "best",
    "epoch": "epoch",
}
# Prefix of an order by the values of one metadata key.
METADATA_ORDER = "metadata."

Key = str | int | float | None

log = logging.getLogger(__name__)


class Found(NamedTuple):
    """A job of a list, and the value that it is sorted by; None if that is unknown."""

    id: str
    status: str
    key: Key


@dataclass(frozen=True)
class Order:
    """The order of a list: by one of ORDERS or by `metadata.NAME`. Jobs without the value are last in any direction."""

    by: str = "created"
    is_descending: bool = True

    @property
    def is_newest_first(self) -> bool:
        return self == Order()


@dataclass(frozen=True)
class Wanted:
    """The filters of a list of jobs. Times are RFC 3339 in UTC with milliseconds, like a job's `created_at`.

    `name` is the whole name of a job's spec, `search` a part of its shown name, ignoring the case of ASCII letters.
    With `finished_after` or `finished_before` only finished jobs are listed. `sweep` is the id of the sweep whose
    trials are listed, or NO_SWEEP for the jobs that are not trials.
    """

    after: str = ""
    after_key: Key = None
    order: Order = Order()
    project: str | None = None
    statuses: frozenset[str] = frozenset()
    name: str | None = None
    search: str | None = None
    created_after: str | None = None
    created_before: str | None = None
    finished_after: str | None = None
    finished_before: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    sweep: str | None = None


@dataclass(frozen=True)
class Entry:
    """The indexed facts of one job. `source` is the id of its dataset or program, `shown` its name or else `source`.

    `best` is the value of its best model, and `epoch` its last epoch; both are None until it has ended.
    """

    id: str
    status: str
    name: str = ""
    created_at: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    project: str | None = None
    finished_at: str | None = None
    shown: str = ""
    source: str = ""
    priority: float | None = None
    best: float | None = None
    epoch: float | None = None
    sweep: str = NO_SWEEP


class IndexFile:
    """The file, opened by one process. Every method may raise sqlite3.Error; then the file must be deleted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
        weakref.finalize(self, self._connection.close)
        # The index may be lost in a power failure, so nothing waits for the disk.
        self._connection.executescript(
            f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -32000; {_SCHEMA}"
        )

    @contextmanager
    def lock_building(self) -> Iterator[None]:
        """Hold the lock of the process that builds the index: one at a time on this host."""
        with self._path.with_name(self._path.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def delete(self) -> None:
        """Delete the file. Processes that have it open can still use it."""
        for ending in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def ids(self, wanted: Wanted) -> Iterator[Found]:
        """The jobs that may match, in order, with their indexed status. The OPEN ones are always included.

        Each page is one statement, so a job that ends in the meantime is neither missing nor listed twice.
        """
        while True:
            found = [Found(*row) for row in self._rows(*_query(wanted))]
            yield from found
            if len(found) < _PAGE:
                return
            wanted = replace(wanted, after=found[-1].id, after_key=found[-1].key)

    def ids_of_shard(self, shard: str) -> set[str]:
        """The indexed jobs of a shard of `jobs/`."""
        return {row[0] for row in self._rows("SELECT id FROM job WHERE shard = ?", [shard])}

    def ids_of_state(self, status: str) -> set[str]:
        """The jobs with a final status, or with OPEN, NO_SPEC or DAMAGED."""
        return {row[0] for row in self._rows("SELECT id FROM job WHERE status = ?", [status])}

    def counts(self, project: str | None) -> dict[str, int]:
        """The number of jobs for each final status, in one project or in all."""
        where, values = ("", []) if project is None else ("WHERE project = ?", [project])
        found = dict(self._rows(f"SELECT status, COUNT(*) FROM job {where} GROUP BY status", values))  # noqa: S608
        return {status: found.get(status, 0) for status in TERMINAL}

    def shards(self) -> dict[str, int]:
        """The shards whose jobs are all indexed, each with its modification time in nanoseconds."""
        return dict(self._rows("SELECT name, changed FROM shard", []))

    def put(self, entries: Sequence[Entry], shards: Sequence[tuple[str, int]] = ()) -> None:
        """Store the rows of these jobs. After that, all jobs of `shards` are indexed."""
        rows = [
            (
                *(one.id, one.id[-2:], one.status, one.name, one.created_at, one.project, one.finished_at or None),
                *(one.shown, one.shown.casefold(), one.source, one.priority, one.best, one.epoch, one.sweep),
            )
            for one in entries
        ]
        pairs = [(key, value, one.id) for one in entries for key, value in one.metadata]
        self._write(
            ("REPLACE INTO job VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows),
            ("REPLACE INTO metadata VALUES (?, ?, ?)", pairs),
            ("REPLACE INTO shard VALUES (?, ?)", shards),
        )

    def remove(self, ids: Sequence[str]) -> None:
        keys = [(job_id,) for job_id in ids]
        self._write(*((f"DELETE FROM {table} WHERE id = ?", keys) for table in ("metadata", "tag", "annotated", "job")))  # noqa: S608

    def changes(self) -> dict[str, int]:
        """The jobs whose annotations are indexed, each with the number of the last indexed change."""
        return dict(self._rows("SELECT id, change FROM annotated", []))

    def put_tags(self, entries: Sequence[tuple[str, int, Sequence[str]]]) -> None:
        """Replace the tags of jobs. An entry is a job's id, the number of its last change, and its tags."""
        self._write(
            ("DELETE FROM tag WHERE id = ?", [(job_id,) for job_id, _, _ in entries]),
            ("REPLACE INTO tag VALUES (?, ?)", [(tag, job_id) for job_id, _, tags in entries for tag in tags]),
            ("REPLACE INTO annotated VALUES (?, ?)", [(job_id, number) for job_id, number, _ in entries]),
        )

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def _write(self, *statements: tuple[str, Sequence[Sequence[Any]]]) -> None:
        with self._lock, self._connection:
            for statement, rows in statements:
                self._connection.executemany(statement, rows)


def index_path(folder: Path, volume: Volume, kind: str = "jobs", version: int = _VERSION) -> Path:
    """The path of a volume's index in `folder`, or in a temporary folder of this process if `folder` is not writable.

    Another volume at the same path has another index: its folder has another inode.
    """
    jobs = volume.jobs.stat()
    identity = f"{volume.root.resolve()} {jobs.st_dev} {jobs.st_ino}"
    # A newer version of Fitstop can read documents that are damaged for this one.
    name = f"{kind}-{version}.{FORMAT}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.sqlite"
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


def _query(wanted: Wanted) -> tuple[str, list[Any]]:
    states = sorted(wanted.statuses & TERMINAL | {OPEN}) if wanted.statuses else [None]
    parts = [_part(wanted, state) for state in states]
    union = ") UNION ALL SELECT * FROM (".join(query for query, _ in parts)
    query = f"SELECT * FROM ({union}) ORDER BY {_order(wanted)} LIMIT {_PAGE}"  # noqa: S608  our own words only
    return query, [value for _, values in parts for value in values]


def _order(wanted: Wanted) -> str:
    direction = "DESC" if wanted.order.is_descending else "ASC"
    return f"id {direction}" if wanted.order.by == "created" else f"key {direction} NULLS LAST, id DESC"


def _key(order: Order) -> tuple[str, list[Key]]:
    """The value that a job is sorted by, in SQL."""
    if order.by.startswith(METADATA_ORDER):
        name = order.by.removeprefix(METADATA_ORDER)
        return "(SELECT value FROM metadata WHERE metadata.id = job.id AND metadata.key = ?)", [name]
    return ORDERS[order.by], []


def _after_cursor(wanted: Wanted) -> tuple[str, list[Key]]:
    """The condition, in SQL, for the jobs after the last one of the previous page."""
    compare = "<" if wanted.order.is_descending else ">"
    if not wanted.after:
        return "TRUE", []
    if wanted.order.by == "created":
        return f"id {compare} ?", [wanted.after]
    if wanted.after_key is None:
        return "key IS NULL AND id < ?", [wanted.after]
    # The plus prevents one lookup for each part, and a sort: SQLite then reads the index of the order.
    after = f"(+key {compare} ? OR (+key = ? AND +id < ?) OR +key IS NULL)"
    return after, [wanted.after_key, wanted.after_key, wanted.after]


def _part(wanted: Wanted, state: str | None) -> tuple[str, list[Any]]:
    """The first page of the jobs with one status, or of all. With one status, SQLite reads them in order."""
    conditions: list[tuple[str, Sequence[str | None]]] = [
        ("status = ?", [state]),
        ("status NOT IN (?, ?)", [NO_SPEC, DAMAGED]),
        ("project = ?", [wanted.project]),
        ("name = ?", [wanted.name]),
        ("shown LIKE ? ESCAPE '!'", [_pattern(wanted.search)]),
        ("created_at > ?", [wanted.created_after]),
        ("created_at < ?", [wanted.created_before]),
        ("sweep = ?", [wanted.sweep]),
        ("finished_at >= ?", [wanted.finished_after]),
        ("finished_at < ?", [wanted.finished_before]),
        *(("id IN (SELECT id FROM metadata WHERE key = ? AND value = ?)", pair) for pair in wanted.metadata),
        *(("id IN (SELECT id FROM tag WHERE tag = ?)", [tag]) for tag in wanted.tags),
    ]
    asked = [(text, values) for text, values in conditions if None not in values]
    where = " AND ".join(text for text, _ in asked)
    (key, names), (after, cursor) = _key(wanted.order), _after_cursor(wanted)
    every = f"SELECT id, status, {key} AS key FROM job WHERE {where}"  # noqa: S608  our own words only
    query = f"SELECT * FROM ({every}) WHERE {after} ORDER BY {_order(wanted)} LIMIT {_PAGE}"  # noqa: S608
    return query, [*names, *(value for _, values in asked for value in values), *cursor]
