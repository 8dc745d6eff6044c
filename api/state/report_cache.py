"""Jobs as they are sent, and the last ones that cannot change any more."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from api.state.changes import Mark

_MOST_KEPT = 256
# Two changes within one tick of the filesystem's clock may leave the same mark.
_FRESH_SECONDS = 0.5


@dataclass(frozen=True)
class View:
    """A job's report as it is sent. The ETag is that of these bytes."""

    content: bytes
    etag: str
    status: str


class Views:
    """The views of jobs that are over, which cannot change any more, and for a moment those of the others.

    Only the last ones that were asked for.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[str, View] = OrderedDict()
        self._fresh: OrderedDict[str, tuple[Mark, float, View]] = OrderedDict()

    def find(self, job_id: str) -> View | None:
        with self._lock:
            view = self._kept.get(job_id)
            if view is not None:
                self._kept.move_to_end(job_id)
            return view

    def keep(self, job_id: str, view: View) -> None:
        with self._lock:
            self._kept[job_id] = view
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)

    def find_fresh(self, job_id: str, mark: Mark) -> View | None:
        """The view of a job whose files bear this mark, if it was made a moment ago."""
        with self._lock:
            known, until, view = self._fresh.get(job_id, ((), 0.0, None))
        return view if known == mark and time.monotonic() < until else None

    def keep_fresh(self, job_id: str, mark: Mark, view: View) -> None:
        """Keep a view for a moment; `mark` was taken before it was made."""
        with self._lock:
            self._fresh[job_id] = mark, time.monotonic() + _FRESH_SECONDS, view
            self._fresh.move_to_end(job_id)
            while len(self._fresh) > _MOST_KEPT:
                self._fresh.popitem(last=False)
