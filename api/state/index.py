"""The index of jobs by status, name, time, metadata and tags: an SQLite file on this host's own disk.

The index is a cache. It contains only what cannot change: the facts of a job's spec, and the final status of a finished
job. Every other job has the status `open` in the index, and its real status is read from its folder each time, so that
no list shows a wrong one. Tags can change; each change has a number. The file may be deleted at any moment. It is
built again if it is missing, damaged or of another volume.

Any host may create jobs. Both the start and the end of a job change the folder `open/`, so nothing is new while the
modification time of that folder is the same. Otherwise the changed shards of `jobs/` are read again. A modification
time is only compared with an earlier one of the same folder, never with a clock. Two changes within one tick of the
volume's clock have the same time, so a folder counts as unchanged only SETTLE_SECONDS after this process first saw it.

The threads and processes of a host share the file. Each updates it, and writing a row twice changes nothing. If too
much is new to read while a client waits, a thread reads it, and requests get IndexNotReady in the meantime.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from api.state.index_file import DAMAGED, NO_SPEC, NO_SWEEP, OPEN, Entry, Found, IndexFile, Wanted, index_path
from shared.annotations import annotated_jobs, read_annotations
from shared.document import UnusableDocument
from shared.ids import is_job_id
from shared.job_folder import RESULT_FILE, SPEC_FILE
from shared.plain_files import read_plain
from shared.project import DEFAULT_PROJECT
from shared.volume import Volume

SETTLE_SECONDS = 2.0
# Maximum number of jobs that are read while a client waits; a thread reads more.
MOST_READ_AT_ONCE = 500
_MOST_WRITTEN_AT_ONCE = 10_000
_MOST_NUMBER = 2**63

log = logging.getLogger(__name__)


class IndexNotReady(Exception):
    """The index is being built. Until then the jobs must be read from their folders."""


@dataclass
class LastChange:
    """A folder's modification time in nanoseconds, and when this process first saw it (`time.monotonic`)."""

    changed: int
    since: float
    is_settled: bool = False

    def settle(self) -> bool:
        """Whether the time is old enough that a later change gets another one."""
        self.is_settled = self.is_settled or time.monotonic() - self.since > SETTLE_SECONDS
        return self.is_settled


class JobIndex:
    """The jobs of one volume, indexed in `folder` on this host's own disk."""

    def __init__(self, volume: Volume, folder: Path) -> None:
        self._volume = volume
        self._folder = folder
        self._looking = threading.Lock()
        self._looked = 0.0
        self._builder: threading.Thread | None = None
        self._opened: IndexFile | None = None
        self._open = LastChange(-1, 0.0)
        self._shards: dict[str, LastChange] = {}
        self._names: tuple[int, list[str]] = (-1, [])
        # Jobs with a marker or a folder whose spec did not exist yet.
        self._without_spec: set[str] = set()
        self._annotated = LastChange(-1, 0.0)
        # Whether a change of annotations has begun and is not stored yet.
        self._is_changing = False

    def ids(self, wanted: Wanted) -> Iterator[Found]:
        """The jobs that may match, in order. The status of an OPEN one must be read from its folder.

        Raises IndexNotReady, at the first or at any later id.
        """
        self.catch_up()
        with self._delete_if_broken():
            yield from self._file.ids(wanted)

    def counts(self, project: str | None = None) -> dict[str, int]:
        """The number of finished jobs for each status, in one project or in all. Raises IndexNotReady."""
        self.catch_up()
        with self._delete_if_broken():
            return self._file.counts(project)

    def damaged(self) -> list[str]:
        """The jobs that could not be read and that no list shows, newest first. Raises IndexNotReady."""
        self.catch_up()
        with self._delete_if_broken():
            return sorted(self._file.ids_of_state(DAMAGED), reverse=True)

    def names(self) -> list[str]:
        """The ids of all jobs, newest first, from the names of their folders."""
        changed = self._volume.open.stat().st_mtime_ns
        if self._names[0] != changed:
            self._names = changed, self._volume.job_ids()
        return self._names[1]

    def catch_up(self) -> None:
        """Index every job that exists at the call. Raises IndexNotReady if there are many new ones."""
        arrived = time.monotonic()
        with self._looking:
            if self._looked > arrived:
                return  # another thread looked while this one waited for the lock
            if self._builder is not None and self._builder.is_alive():
                raise IndexNotReady
            began = time.monotonic()
            with self._delete_if_broken():
                is_whole = self._look(MOST_READ_AT_ONCE)
            if not is_whole:
                self._builder = threading.Thread(target=self._build, name="index", daemon=True)
                self._builder.start()
                raise IndexNotReady
            self._looked = began

    def forget(self, job_id: str) -> None:
        """Remove a deleted job from the index."""
        with self._delete_if_broken():
            self._file.remove([job_id])

    def _build(self) -> None:
        began = time.monotonic()
        try:
            with self._delete_if_broken(), self._file.lock_building():
                self._look(None)
        except (IndexNotReady, OSError) as error:
            log.warning("the index could not be built (%r); until it is, jobs are listed from their folders", error)
            return
        log.info("the index is up to date after %.1f s", time.monotonic() - began)

    def _look(self, most: int | None) -> bool:
        """Read what has changed; False if that is more than about `most` jobs (None: no maximum)."""
        return self._look_at_jobs(most) and self._look_at_tags(most)

    def _look_at_tags(self, most: int | None) -> bool:
        changed = self._volume.annotated.stat().st_mtime_ns
        if self._annotated.changed != changed:
            self._annotated = LastChange(changed, time.monotonic())
        elif self._annotated.is_settled and not self._is_changing:
            return True
        known = self._file.changes()
        begun = annotated_jobs(self._volume.annotated)
        new = [job_id for job_id, number in begun.items() if known.get(job_id, 0) < number]
        if most is not None and len(new) > most:
            return False
        read = [(job_id, *self._read_tags(job_id, begun[job_id])) for job_id in new]
        self._file.put_tags(read)
        self._is_changing = any(number < begun[job_id] for job_id, number, _ in read)
        self._annotated.settle()
        return True

    def _read_tags(self, job_id: str, begun: int) -> tuple[int, tuple[str, ...]]:
        """The number of the change that set a job's tags, and the tags. `begun` is the last change that has begun."""
        folder = self._volume.job_folder(job_id)
        try:
            number, annotations = read_annotations(folder)
        except UnusableDocument as error:
            log.error("the tags of %s cannot be read: %s", job_id, error)
            return begun, ()
        return (number if folder.spec_file.exists() else begun), annotations.tags

    def _look_at_jobs(self, most: int | None) -> bool:
        changed = self._volume.open.stat().st_mtime_ns
        if self._open.changed != changed:
            self._open = LastChange(changed, time.monotonic())
        elif self._open.is_settled and not any(self._has_spec(job_id) for job_id in self._without_spec):
            return True
        if not self._read_shards(most):
            return False
        self._read_open()
        self._open.settle()
        return True

    def _read_shards(self, most: int | None) -> bool:
        batch = _Batch(self._file)
        for shard in [entry for entry in os.scandir(self._volume.jobs) if entry.is_dir(follow_symlinks=False)]:
            self._read_if_changed(shard, batch)
            if most is not None and batch.read > most:
                return False
        batch.write()
        return True

    def _read_if_changed(self, shard: "os.DirEntry[str]", batch: "_Batch") -> None:
        changed = shard.stat().st_mtime_ns
        seen = self._shards.get(shard.name)
        if seen is None or seen.changed != changed:
            seen = LastChange(changed, time.monotonic())
        elif seen.is_settled:
            return
        there = {entry.name: entry.path for entry in list(os.scandir(shard.path)) if is_job_id(entry.name)}
        known = self._file.ids_of_shard(shard.name)
        if gone := known.difference(there):
            self._file.remove(sorted(gone))
        entries = [_entry(job_id, path) for job_id, path in there.items() if job_id not in known]
        self._shards[shard.name] = seen
        batch.add(entries, (shard.name, changed) if seen.settle() else None)

    def _read_open(self) -> None:
        """Set the final status of finished jobs: a job's marker is removed only after its result is stored."""
        marked = {marker.job_id for marker in self._volume.open_jobs()}
        without_spec = self._file.ids_of_state(NO_SPEC)
        ended = self._file.ids_of_state(OPEN) - marked
        self._file.put([_entry(job_id, str(self._volume.job_folder(job_id).path)) for job_id in ended | without_spec])
        known = self._file.ids_of_state(OPEN)
        new = {job_id for job_id in marked - known if not self._has_spec(job_id)}
        self._without_spec = new | (without_spec - known)

    def _has_spec(self, job_id: str) -> bool:
        return self._volume.job_folder(job_id).spec_file.exists()

    @contextmanager
    def _delete_if_broken(self) -> Iterator[None]:
        """Delete the index if it cannot be used, and raise IndexNotReady; the next call begins a new one."""
        try:
            if self._opened is None:
                self._opened = IndexFile(index_path(self._folder, self._volume))
                self._shards = {
                    name: LastChange(changed, 0.0, is_settled=True) for name, changed in self._opened.shards().items()
                }
            yield
        except sqlite3.Error as error:
            log.warning("the index cannot be used and is rebuilt: %s", error)
            if self._opened is not None:
                self._opened.delete()
            self._opened, self._open, self._shards, self._without_spec = None, LastChange(-1, 0.0), {}, set()
            self._annotated = LastChange(-1, 0.0)
            raise IndexNotReady from error

    @property
    def _file(self) -> IndexFile:
        if self._opened is None:
            raise sqlite3.OperationalError("another thread has discarded the index")
        return self._opened


class _Batch:
    """Entries and shards that wait to be written: a few large writes cost far less than many small ones."""

    def __init__(self, file: IndexFile) -> None:
        self.read = 0
        self._file = file
        self._entries: list[Entry] = []
        self._shards: list[tuple[str, int]] = []

    def add(self, entries: list[Entry], settled: tuple[str, int] | None) -> None:
        """Add the new jobs of a shard, and the shard with its modification time if that is settled."""
        self.read += len(entries)
        self._entries += entries
        self._shards += [settled] if settled else []
        if len(self._entries) >= _MOST_WRITTEN_AT_ONCE:
            self.write()

    def write(self) -> None:
        self._file.put(sorted(self._entries, key=_id), self._shards)
        self._entries, self._shards = [], []


def _entry(job_id: str, folder: str) -> Entry:
    """Read the index entry of a job. Uses no models or Path objects, since it runs a hundred thousand times."""
    try:
        result = read_plain(f"{folder}/{RESULT_FILE}")
        spec = read_plain(f"{folder}/{SPEC_FILE}")
        if spec is None:
            return Entry(job_id, NO_SPEC)
        record = from_json(spec)
        end = None if result is None else from_json(result)
        status = OPEN if end is None else end["ending"]["status"]
        asked = record["spec"]
        project, finished_at = record.get("project", DEFAULT_PROJECT), end and end["finished_at"]
        metadata = tuple(asked["metadata"].items())
        source = (asked.get("dataset") or asked["program"])["id"]
        shown = asked["name"] or source
        texts = (status, shown, source, record["created_at"], project, finished_at or "")
        _check_texts(*texts, *(text for pair in metadata for text in pair))
        facts = (source, _number(asked.get("priority", 5)), *_best_and_epoch(end), _sweep_of(record))
        return Entry(job_id, status, asked["name"], record["created_at"], metadata, project, finished_at, shown, *facts)
    except (ValueError, KeyError, TypeError, AttributeError):
        log.error("%s is damaged and left out of every list", job_id)
        return Entry(job_id, DAMAGED)


def _sweep_of(record: Any) -> str:
    sweep = record.get("sweep")
    found = NO_SWEEP if sweep is None else sweep["id"]
    _check_texts(found)
    return str(found)


def _best_and_epoch(end: Any) -> tuple[float | None, float | None]:
    """The value of the best model and the last epoch of a job that has ended."""
    stop = end and end["ending"].get("stop")
    if not stop:
        return None, None
    return _number((stop.get("best") or {}).get("value")), _number(stop.get("last_epoch"))


def _number(value: Any) -> float | int | None:
    """A number that SQLite can store; None for every other value. Jobs without a number are sorted last."""
    return value if isinstance(value, int | float) and abs(value) < _MOST_NUMBER else None


def _check_texts(*values: object) -> None:
    """Raise TypeError for a value that is not a string."""
    if not all(isinstance(value, str) for value in values):
        raise TypeError


def _id(entry: Entry) -> str:
    return entry.id
