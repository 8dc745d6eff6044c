"""Jobs as they are sent, and the last ones that cannot change any more."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

_MOST_KEPT = 256


@dataclass(frozen=True)
class View:
    """A job's report as it is sent. The ETag is that of these bytes."""

    content: bytes
    etag: str
    status: str


class Views:
    """The views of jobs that are over, which cannot change any more; the last ones that were asked for."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[str, View] = OrderedDict()

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
