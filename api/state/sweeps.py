"""What was read of the sweeps, kept for the next request: of a sweep that runs only what is new is read."""

import threading
from dataclasses import dataclass, field

from cachetools import LRUCache

from api.state.locked_cache import LockedCache
from shared.problems import NotFound
from shared.sweep.folder import sweep_folder
from shared.sweep.state import SweepReader, SweepState
from shared.volume import Volume

# More than a page of the list: else each look at it would read them all again.
_MOST_KEPT = 128


@dataclass
class _Read:
    """The reader of one sweep, and its state where it cannot change any more."""

    reader: SweepReader
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: SweepState | None = None


class SweepStates:
    """The states of the sweeps that were asked for last."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._kept: LockedCache[str, _Read] = LockedCache(LRUCache(_MOST_KEPT))

    def of(self, sweep_id: str) -> SweepState:
        """The state of a sweep that was there a moment ago. Raises NotFound where it has gone, and UnusableDocument."""
        read = self._kept.find_or_keep(sweep_id, _Read(SweepReader(self._volume, sweep_id)))
        with read.lock:
            if read.ended is not None and self._is_extended(sweep_id, read.ended):
                read.ended = None
            state = read.ended or read.reader.read_on()
        if state is None:
            raise NotFound("there is no sweep with this id")
        read.ended = state if state.end is not None else None
        return state

    def _is_extended(self, sweep_id: str, ended: SweepState) -> bool:
        return sweep_folder(self._volume, sweep_id).is_extended(ended.extensions + 1)
