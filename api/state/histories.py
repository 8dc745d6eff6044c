"""What was read of the jobs' events, kept for the next request: a running job costs only what is new in it.

A history may be dropped at any moment; it is read again from the volume then. The ledger of a job that is over never
changes, so those are kept for longer: they are small.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from flask import Flask, current_app

from shared.history import JobHistory, JobReader
from shared.job_folder import JobFolder
from shared.ledger import Ledger, ledger
from shared.problems import NotFound

_KEY = "fitstop-histories"
# More than a page of the list: else each look at it would read them all again.
_MOST_READERS = 256
_MOST_BYTES = 64 * 1024**2
_MOST_LEDGERS = 20_000
_MOST_ANSWERS = 1000


class Histories:
    """The readers of the jobs that were asked for last, and the ledgers of jobs that are over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: OrderedDict[str, tuple[JobReader, threading.Lock]] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._ledgers: OrderedDict[str, Ledger] = OrderedDict()
        self._answers: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()

    def of(self, job: JobFolder) -> JobHistory:
        """The job's history as it is now. Raises NotFound where the job has gone meanwhile."""
        with self._lock:
            reader, own_lock = self._readers.setdefault(job.id, (JobReader(job), threading.Lock()))
            self._readers.move_to_end(job.id)
        with own_lock:
            history = reader.read_on()
        if history is None:
            raise NotFound("there is no job with this id")
        self._note_size(job.id, history.bytes)
        return history

    def ledger(self, job: JobFolder) -> Ledger:
        """The job's ledger up to the last moment that its files tell of, so that asking again changes nothing."""
        with self._lock:
            known = self._ledgers.get(job.id)
        if known is not None:
            return known
        history = self.of(job)
        found = ledger(history)
        if history.result is not None:
            with self._lock:
                self._ledgers[job.id] = found
                if len(self._ledgers) > _MOST_LEDGERS:
                    self._ledgers.popitem(last=False)
        return found

    def remembered(self, key: tuple[Any, ...], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `make` answered for this key; asked anew where that is forgotten."""
        with self._lock:
            known = self._answers.get(key)
        if known is None:
            known = make()
            with self._lock:
                self._answers[key] = known
                if len(self._answers) > _MOST_ANSWERS:
                    self._answers.popitem(last=False)
        return known

    def _note_size(self, job_id: str, size: int) -> None:
        """Let go of the readers that were asked for least recently; the newest stays, whatever its size."""
        with self._lock:
            self._sizes[job_id] = size
            while len(self._readers) > 1 and (
                len(self._readers) > _MOST_READERS or sum(self._sizes.values()) > _MOST_BYTES
            ):
                oldest, _ = self._readers.popitem(last=False)
                self._sizes.pop(oldest, None)


def install(app: Flask) -> None:
    """Hang the histories on `app`, where `histories()` finds them."""
    app.extensions[_KEY] = Histories()


def histories() -> Histories:
    """The histories of the app that answers."""
    found = current_app.extensions[_KEY]
    assert isinstance(found, Histories)
    return found
