"""A cache of the states of sweeps: a request for a running sweep reads only what is new."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from cachetools import LRUCache

from api.state.locked_cache import LockedCache
from api.state.sweep_file import SweepFile
from shared.problems import NotFound
from shared.sweep.folder import sweep_folder
from shared.sweep.state import SweepReaderOf, SweepSummary
from shared.sweep.trial import TrialSummary
from shared.volume import Volume

# About a hundred megabytes. The finished trials of a sweep that leaves the cache are in the file.
_MOST_TRIALS = 100_000
# Two changes of a folder within one tick of the volume's clock have the same time.
_SETTLE_NS = 2 * 10**9


@dataclass
class _Read:
    """The reader of one sweep, its state if it has ended, and the change of its folder of trials (ns) at that read."""

    reader: SweepReaderOf[TrialSummary]
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: SweepSummary | None = None
    changed: int = 0


class SweepStates:
    """The states of the sweeps that were requested last. `folder` is on this host's own disk."""

    def __init__(self, volume: Volume, folder: Path) -> None:
        self._volume = volume
        self._file = SweepFile(volume, folder)
        self._kept: LockedCache[str, _Read] = LockedCache(LRUCache(_MOST_TRIALS, getsizeof=_size))

    def of(self, sweep_id: str) -> SweepSummary:
        """The state of a sweep. Raises NotFound if it was deleted in the meantime, and UnusableDocument."""
        read = self._kept.find(sweep_id) or self._kept.find_or_keep(sweep_id, self._begin(sweep_id))
        with read.lock:
            state = self._read_on(read, sweep_id)
        self._kept.keep(sweep_id, read)
        return state

    def summary(self, sweep_id: str) -> str | None:
        """The stored summary (JSON) of an ended sweep; None if it is not stored."""
        changed = self._last_change_ns(sweep_id)
        return self._file.summary(sweep_id, changed) if changed else None

    def keep_summary(self, state: SweepSummary, summary: str) -> None:
        """Store the summary of a sweep for the next list, if the sweep has ended."""
        read = self._kept.find(state.record.id)
        if read is not None and read.ended is state and _is_settled(read.changed):
            self._file.keep_summary(state.record.id, read.changed, summary)

    def _begin(self, sweep_id: str) -> _Read:
        return _Read(SweepReaderOf(self._volume, sweep_id, TrialSummary.of, self._file.trials(sweep_id)))

    def _read_on(self, read: _Read, sweep_id: str) -> SweepSummary:
        changed = self._last_change_ns(sweep_id)
        if read.ended is not None and changed == read.changed and _is_settled(changed):
            return read.ended
        before = dict(read.reader.finished)
        state = read.reader.read_on()
        if state is None:
            raise NotFound("there is no sweep with this id")
        new = [one for number, one in read.reader.finished.items() if before.get(number) is not one]
        if new:
            self._file.keep_trials(sweep_id, new)
        read.ended, read.changed = state if state.end is not None else None, changed
        return state

    def _last_change_ns(self, sweep_id: str) -> int:
        try:
            return sweep_folder(self._volume, sweep_id).last_change_ns()
        except FileNotFoundError:
            return 0


def _size(read: _Read) -> int:
    return max(1, len(read.reader.finished))


def _is_settled(changed: int) -> bool:
    return time.time_ns() - changed > _SETTLE_NS
