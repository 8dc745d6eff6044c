"""How long a repeated operation has taken recently."""

from collections import deque
from statistics import median

_REMEMBERED = 5


class RecentSeconds:
    """The last five durations. Their median ignores a single slow one."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)

    def add(self, seconds: float) -> None:
        self._seconds.append(seconds)

    @property
    def usual(self) -> float:
        """The median in seconds; 0 before the first duration."""
        return median(self._seconds) if self._seconds else 0.0
