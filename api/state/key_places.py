"""Limits of a key in this process, such as the number of its event streams."""

import threading
from collections import Counter


class KeyPlaces:
    """A maximum number of places for each key. They are in memory, so the end of the process releases them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    def take(self, key_id: str) -> bool:
        """Take a place for the key; False if it has the maximum."""
        with self._lock:
            if self._held[key_id] >= self._most:
                return False
            self._held[key_id] += 1
            return True

    def release(self, key_id: str) -> None:
        """Release a place."""
        with self._lock:
            self._held[key_id] -= 1
            if self._held[key_id] <= 0:
                del self._held[key_id]
