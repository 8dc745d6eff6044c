"""A cache of job reports, as the bytes that are sent."""

from dataclasses import dataclass

from cachetools import LRUCache, TTLCache

from api.state.changes import Mark
from api.state.locked_cache import LockedCache

_MOST_BYTES = 16 * 1024**2
_LEAST_BYTES = _MOST_BYTES // 256
# Two changes within one tick of the filesystem's clock may leave the same mark.
_FRESH_SECONDS = 0.5


@dataclass(frozen=True)
class View:
    """A job's report as it is sent. The ETag is that of these bytes."""

    content: bytes
    etag: str
    status: str


def _size(view: View) -> int:
    return min(max(len(view.content), _LEAST_BYTES), _MOST_BYTES)


class Views:
    """The last views that were requested.

    `finished` has those of finished jobs, by the job's id and the last change of its annotations: nothing else of the
    job changes. `fresh` has those of other jobs for a moment, by the job's id and the mark of its files, which was
    taken before the view was made.
    """

    def __init__(self, fresh_seconds: float = _FRESH_SECONDS) -> None:
        self.finished: LockedCache[tuple[str, int], View] = LockedCache(LRUCache(_MOST_BYTES, _size))
        self.fresh: LockedCache[tuple[str, Mark], View] = LockedCache(
            TTLCache(_MOST_BYTES, fresh_seconds, getsizeof=_size)
        )
