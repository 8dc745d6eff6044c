"""The jobs without a result of each key, noted in this process and told to the others now and then.

As with requests (`api.state.request_counts`): a job is told at once where a key has little room left, else with others.
So several processes together admit at most a 64th of the limit more for each of them.
"""

import os
import threading
import time
from dataclasses import dataclass, field

from api.state.shared_counts import Counts, SharedCounts
from shared.volume import Volume

_TELL_SECONDS = 1.0
_SHARE = 64
_MOST_KEYS = 10_000


@dataclass
class _Noted:
    """The markers of one key that were not told yet; `room` is what was left when the last ones were."""

    markers: set[str] = field(default_factory=set)
    room: int = 0
    told_at: float = 0.0


class UnfinishedJobs:
    """Admits jobs by their markers in `open/`."""

    def __init__(self, shared: SharedCounts, volume: Volume) -> None:
        self._shared = shared
        self._volume = volume
        self._lock = threading.Lock()
        self._noted: dict[str, _Noted] = {}

    def admit(self, key_id: str, marker: str, most: int) -> bool:
        """Count a job that is about to be stored; False where its key has `most` others without a result."""
        now = time.monotonic()
        with self._lock:
            if len(self._noted) > _MOST_KEYS:
                self._noted.clear()
            noted = self._noted.setdefault(key_id, _Noted())
            if now < noted.told_at + _TELL_SECONDS and (len(noted.markers) + 1) * _SHARE < noted.room:
                noted.markers.add(marker)
                return True
            others, noted.markers, noted.told_at = noted.markers, set(), now
        room = self._shared.ask(lambda counts: self._room(counts, f"jobs:{key_id}", marker, others, most))
        with self._lock:
            noted.room = room
        return room >= 0

    def _room(self, counts: Counts, name: str, marker: str, others: set[str], most: int) -> int:
        """How many more jobs there may be with this one counted; below 0 it is not admitted and not counted.

        The set is looked through, for jobs that are over, only where it is full.
        """
        count = counts.insert(name, {marker, *others})
        if count <= most:
            return most - count
        standing = {entry.name for entry in os.scandir(self._volume.open)}
        known = counts.members(name) - {marker}
        counts.discard(name, known - standing)
        room = most - len(known & standing) - 1
        if room < 0:
            counts.discard(name, {marker})
        return room
