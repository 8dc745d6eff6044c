"""Places that a key holds in this process, such as those of its event streams."""

import threading
from collections import Counter


class KeyPlaces:
    """At most a number of places for each key. A process that ends gives them all back."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    def take(self, key_id: str) -> bool:
        """Take a place of the key; False where it holds all of its own."""
        with self._lock:
            if self._held[key_id] >= self._most:
                return False
            self._held[key_id] += 1
            return True

    def release(self, key_id: str) -> None:
        """Give a place back."""
        with self._lock:
            self._held[key_id] -= 1
            if self._held[key_id] <= 0:
                del self._held[key_id]
