"""The requests of each key, counted in this process and told to the others now and then.

A round trip to Redis for each request would cost more than most answers do. So a process tells what it has counted
once in a second, and sooner where that is a 64th of what the key has left: near its limit every request is told.
Several processes together let a key make a 64th more requests for each of them, at most.
"""

import threading
import time
from dataclasses import dataclass

from api.state.shared_counts import Count, SharedCounts

MINUTE_SECONDS = 60

_TELL_SECONDS = 1.0
_SHARE = 64
_MOST_KEYS = 10_000


@dataclass
class _Tally:
    """One key's window: `told` is what Redis said, `telling` is on its way there, `untold` is not. Ends at `ends`."""

    ends: float
    told_at: float
    told: int = 0
    telling: int = 0
    untold: int = 0

    def count(self, now: float) -> Count:
        return Count(self.told + self.telling + self.untold, max(0.0, self.ends - now))


class RequestCounts:
    """Counts requests by name in windows of a minute, each beginning with its first count on any host."""

    def __init__(self, shared: SharedCounts) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._tallies: dict[str, _Tally] = {}

    def add(self, name: str, quota: int) -> Count:
        """Count one more, of at most `quota` in a window. Never raises for a Redis that is away."""
        now = time.monotonic()
        with self._lock:
            tally = self._tally(name, now)
            tally.untold += 1
            is_due = now >= tally.told_at + _TELL_SECONDS or tally.untold * _SHARE >= quota - tally.told
            if not is_due:
                return tally.count(now)
            amount, tally.untold, tally.told_at = tally.untold, 0, now
            tally.telling += amount
        return self._told(name, tally, amount)

    def _tally(self, name: str, now: float) -> _Tally:
        tally = self._tallies.get(name)
        if tally is None or tally.ends <= now:
            if len(self._tallies) > _MOST_KEYS:
                self._tallies = {other: one for other, one in self._tallies.items() if one.ends > now}
            tally = self._tallies[name] = _Tally(ends=now + MINUTE_SECONDS, told_at=now - _TELL_SECONDS)
        return tally

    def _told(self, name: str, tally: _Tally, amount: int) -> Count:
        found = self._shared.ask(lambda kind: kind.add(name, amount, MINUTE_SECONDS))
        now = time.monotonic()
        with self._lock:
            tally.telling -= amount
            tally.told, tally.ends = found.total, now + found.resets_in
            return tally.count(now)
