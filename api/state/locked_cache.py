"""A cache of cachetools with a lock: the threads of a process share it, and cachetools is not thread-safe."""

import threading
from typing import Generic, TypeVar

from cachetools import Cache

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class LockedCache(Generic[_Key, _Value]):
    """A thread-safe cache. Its size, its time to live and its eviction are those of `cache`."""

    def __init__(self, cache: Cache[_Key, _Value]) -> None:
        self._lock = threading.Lock()
        self._cache = cache

    def find(self, key: _Key) -> _Value | None:
        """Return the value of the key; None if it is not in the cache."""
        with self._lock:
            return self._cache.get(key)

    def keep(self, key: _Key, value: _Value) -> _Value:
        """Store a value and return it. A value whose size has changed is measured again."""
        with self._lock:
            self._cache[key] = value
        return value

    def find_or_keep(self, key: _Key, value: _Value) -> _Value:
        """Return the value of the key, which is `value` if the key had none."""
        with self._lock:
            return self._cache.setdefault(key, value)
