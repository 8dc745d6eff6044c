"""Counters that all API hosts share: in Redis, and in this process's memory while Redis is unreachable.

They may be lost. If Redis is emptied or unreachable, limits are more generous for a while, and no request fails.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_PREFIX = "fitstop:api:"
# Maximum time for an answer of Redis. After a time-out, this process does not use Redis for _AWAY_SECONDS.
_SOCKET_SECONDS = 0.25
_AWAY_SECONDS = 5.0
_MOST_WINDOWS = 10_000

_Value = TypeVar("_Value")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Count:
    """The total of a time window, and the seconds until the window ends."""

    total: int
    resets_in: float


class RedisCounts:
    """Counts in Redis. All methods raise RedisError or OSError if it does not answer.

    Raises ValueError for an invalid URL. Names must not come from a client.
    """

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=_SOCKET_SECONDS,
            socket_connect_timeout=_SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def add(self, name: str, amount: int, window_seconds: float) -> Count:
        """Add `amount` to the count of a window, which begins with the first count."""
        milliseconds = int(window_seconds * 1000)
        with self._redis.pipeline(transaction=True) as steps:
            steps.set(_PREFIX + name, 0, px=milliseconds, nx=True)
            steps.incrby(_PREFIX + name, amount)
            steps.pttl(_PREFIX + name)
            _, total, left = steps.execute()
        return Count(int(total), max(0, left) / 1000)

    def hold(self, name: str, token: str, most: int, seconds: float) -> bool:
        """Take one of `most` places until `release`, or for `seconds`. False if all are taken."""
        now = time.time()
        with self._redis.pipeline(transaction=True) as steps:
            steps.zremrangebyscore(_PREFIX + name, "-inf", now)
            steps.zadd(_PREFIX + name, {token: now + seconds})
            steps.pexpire(_PREFIX + name, int(seconds * 1000))
            steps.zcard(_PREFIX + name)
            *_, held = steps.execute()
        if held <= most:
            return True
        self.release(name, token)
        return False

    def release(self, name: str, token: str) -> None:
        """Release a place."""
        self._redis.zrem(_PREFIX + name, token)

    def insert(self, name: str, members: set[str]) -> int:
        """Add members to a set. Return the number of its members."""
        with self._redis.pipeline(transaction=True) as steps:
            steps.sadd(_PREFIX + name, *members)
            steps.scard(_PREFIX + name)
            return int(steps.execute()[1])

    def members(self, name: str) -> set[str]:
        """The members of a set."""
        return {str(member) for member in self._redis.smembers(_PREFIX + name)}

    def discard(self, name: str, members: set[str]) -> None:
        """Remove members from a set."""
        if members:
            self._redis.srem(_PREFIX + name, *members)

    def put(self, name: str, field: str, value: str) -> None:
        """Set a field of a table."""
        self._redis.hset(_PREFIX + name, field, value)

    def table(self, name: str) -> dict[str, str]:
        """All fields of a table."""
        return {str(field): str(value) for field, value in self._redis.hgetall(_PREFIX + name).items()}


class MemoryCounts:
    """Counts in the memory of this process, with the methods of RedisCounts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[int, float]] = {}
        self._places: dict[str, dict[str, float]] = {}
        self._sets: dict[str, set[str]] = {}
        self._tables: dict[str, dict[str, str]] = {}

    def add(self, name: str, amount: int, window_seconds: float) -> Count:
        now = time.monotonic()
        with self._lock:
            if len(self._windows) > _MOST_WINDOWS:
                self._windows = {one: window for one, window in self._windows.items() if window[1] > now}
            total, end = self._windows.get(name, (0, 0.0))
            if end <= now:
                total, end = 0, now + window_seconds
            self._windows[name] = total + amount, end
            return Count(total + amount, end - now)

    def hold(self, name: str, token: str, most: int, seconds: float) -> bool:
        now = time.monotonic()
        with self._lock:
            held = {one: end for one, end in self._places.get(name, {}).items() if end > now}
            self._places[name] = held
            if len(held) >= most:
                return False
            held[token] = now + seconds
            return True

    def release(self, name: str, token: str) -> None:
        with self._lock:
            self._places.get(name, {}).pop(token, None)

    def insert(self, name: str, members: set[str]) -> int:
        with self._lock:
            known = self._sets.setdefault(name, set())
            known |= members
            return len(known)

    def members(self, name: str) -> set[str]:
        with self._lock:
            return set(self._sets.get(name, ()))

    def discard(self, name: str, members: set[str]) -> None:
        with self._lock:
            self._sets.get(name, set()).difference_update(members)

    def put(self, name: str, field: str, value: str) -> None:
        with self._lock:
            self._tables.setdefault(name, {})[field] = value

    def table(self, name: str) -> dict[str, str]:
        with self._lock:
            return dict(self._tables.get(name, {}))


Counts = RedisCounts | MemoryCounts


class SharedCounts:
    """The counts in Redis while it answers, else those in memory. Without `redis_url` always those in memory."""

    def __init__(self, redis_url: str | None) -> None:
        self._memory = MemoryCounts()
        self._away_until = 0.0
        self._redis: RedisCounts | None = None
        try:
            self._redis = RedisCounts(redis_url) if redis_url else None
        except ValueError:
            log.warning("each API process counts limits for itself: only Celery supports the URL of this Redis")

    def ask(self, question: Callable[[Counts], _Value]) -> _Value:
        """The result of `question`. Does not raise if Redis is unreachable."""
        if self._redis is not None and time.monotonic() >= self._away_until:
            try:
                return question(self._redis)
            except (redis.RedisError, OSError) as error:
                self._away_until = time.monotonic() + _AWAY_SECONDS
                log.warning("limits are counted in memory for %g s: Redis does not answer (%s)", _AWAY_SECONDS, error)
        return question(self._memory)

    def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            self._redis.close()
