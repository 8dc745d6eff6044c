"""A cache of the jobs' events: a request for a running job reads only the events that are new.

A history may leave the cache at any moment; then it is read from the volume again. The ledger of a finished job never
changes and is small, so the cache holds more ledgers than histories.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cachetools import LRUCache
from flask import Flask, current_app

from api.state.locked_cache import LockedCache
from shared.history import JobHistory, JobReader
from shared.job_folder import JobFolder
from shared.ledger import Ledger, ledger
from shared.problems import NotFound

_KEY = "fitstop-histories"
_Answer = TypeVar("_Answer")
# More than one page of the list: otherwise each request for the page would read all of its jobs again.
_MOST_READERS = 256
_MOST_BYTES = 64 * 1024**2
_MOST_LEDGERS = 50_000
_MOST_ANSWERS = 1000


@dataclass
class _Read:
    """The reader of one job, and the size of what it has read."""

    reader: JobReader
    lock: threading.Lock = field(default_factory=threading.Lock)
    bytes: int = 0


class Histories:
    """The readers of the jobs that were requested last, and the ledgers of finished jobs.

    All readers together have at most `most_bytes`; the newest one is kept, whatever its size. `finished` caches what
    views compute for finished jobs.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        least = most_bytes // _MOST_READERS
        readers = LRUCache[str, _Read](most_bytes, lambda read: min(max(read.bytes, least), most_bytes))
        self._readers = LockedCache(readers)
        self._ledgers: LockedCache[str, Ledger] = LockedCache(LRUCache(_MOST_LEDGERS))
        self.finished: LockedCache[str, Any] = LockedCache(LRUCache(_MOST_LEDGERS))
        self._answers: LockedCache[tuple[Any, ...], Any] = LockedCache(LRUCache(_MOST_ANSWERS))

    def of(self, job: JobFolder) -> JobHistory:
        """The job's history as it is now. Raises NotFound if the job was deleted in the meantime."""
        read = self._readers.find_or_keep(job.id, _Read(JobReader(job)))
        with read.lock:
            history = read.reader.read_on()
        if history is None:
            raise NotFound("there is no job with this id")
        read.bytes = history.bytes
        self._readers.keep(job.id, read)
        return history

    def ledger(self, job: JobFolder) -> Ledger:
        """The job's ledger up to the last time in its files, so that it is the same until a file changes."""
        known = self._ledgers.find(job.id)
        if known is not None:
            return known
        history = self.of(job)
        found = ledger(history)
        return found if history.result is None else self._ledgers.keep(job.id, found)

    def remember(self, key: tuple[Any, ...], make: Callable[[], _Answer]) -> _Answer:
        """The result of `make` for this key. `make` is called only if the result is not in the cache."""
        known: _Answer | None = self._answers.find(key)
        return self._answers.keep(key, make()) if known is None else known


def install(app: Flask) -> None:
    """Attach the histories to `app`, where `histories()` finds them."""
    app.extensions[_KEY] = Histories()


def histories() -> Histories:
    """The histories of the current application."""
    found = current_app.extensions[_KEY]
    assert isinstance(found, Histories)
    return found
