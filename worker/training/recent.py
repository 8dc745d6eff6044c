"""How long something takes of late."""

from collections import deque
from statistics import median

_REMEMBERED = 5


class RecentSeconds:
    """The last few times that something took; one that was slow by chance does not decide."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)

    def add(self, seconds: float) -> None:
        self._seconds.append(seconds)

    @property
    def usual(self) -> float:
        """Their median; 0 before the first."""
        return median(self._seconds) if self._seconds else 0.0
