"""What can be done to the service. Each fault says whom it hit, or None where there was nobody to hit."""

import contextlib
import os
import random
import signal
import struct
from collections.abc import Callable

import redis

from shared.queue import QUEUE
from tests.chaos.services import Service
from tests.chaos.stand import Stand
from tests.chaos.watcher import Watcher
from tests.support.worker_process import QUICK, descendants

# A frozen process wakes when others have taken over long since: 45 s where that takes 30 s.
FROZEN_SECONDS = 1.5 * float(QUICK["FITSTOP_TAKE_OVER_SECONDS"])
_JUNK = (
    b"not json",
    b"\xff\xfe\x00",
    b"",
    b"{}",
    b"[1, 2]",
    b'"text"',
    b'{"body": "e30=", "headers": {}, "properties": {}}',
    (
        b'{"body": "gASVAAAA", "content-type": "application/x-python-serialize", "content-encoding": "binary", '
        b'"headers": {"task": "fitstop.ring", "id": "1"}, "properties": {"delivery_tag": "1", '
        b'"body_encoding": "base64", "delivery_info": {"exchange": "", "routing_key": "fitstop"}}}'
    ),
    (
        b'{"body": "W1tdLCB7fSwge31d", "content-type": "application/json", "content-encoding": "utf-8", '
        b'"headers": {"task": "no.such.task", "id": "2", "lang": "py"}, "properties": {"delivery_tag": "2", '
        b'"body_encoding": "base64", "delivery_info": {"exchange": "", "routing_key": "fitstop"}}}'
    ),
    struct.pack("<Q", 2**63),
)

Later = Callable[[float, Callable[[], None]], None]


class Faults:
    """`later` is asked to undo what does not end by itself."""

    def __init__(self, stand: Stand, watcher: Watcher, chance: random.Random, later: Later) -> None:
        self._stand = stand
        self._watcher = watcher
        self._chance = chance
        self._later = later
        self._frozen = False
        self._disk_is_full = False
        self._rings: list[bytes] = []

    def by_kind(self) -> dict[str, tuple[int, Callable[[], str | None]]]:
        """Every fault that this machine can do, with its weight."""
        every: dict[str, tuple[int, Callable[[], str | None]]] = {
            "child killed": (30, lambda: self._signal_child(signal.SIGKILL)),
            "child terminated": (4, lambda: self._signal_child(signal.SIGTERM)),
            "child frozen": (4, self._freeze_child),
            "worker killed": (7, lambda: self._end_worker(signal.SIGKILL)),
            "worker terminated": (6, lambda: self._end_worker(signal.SIGTERM)),
            "worker frozen": (6, self._freeze_worker),
            "machine frozen": (8, self._freeze_machine),
            "API killed": (5, self._kill_api),
            "Redis killed": (5, lambda: self._kill_redis(None)),
            "Redis replaced by an empty one": (5, lambda: self._kill_redis(0)),
            "Redis flushed": (6, self._flush),
            "Redis paused": (4, self._pause_redis),
            "rings doubled": (7, self._double_rings),
            "rings lost": (4, self._lose_rings),
            "junk among the rings": (5, self._push_junk),
            "network cut": (5, self._cut_network),
            "network reset": (3, self._reset_network),
        }
        if self._stand.disk.can_fill:
            every["disk full"] = (5, self._fill_disk)
        if self._stand.clocks:
            every["clock stepped"] = (5, self._step_clock)
        return every

    def left_out(self) -> list[str]:
        missing = [] if self._stand.disk.can_fill else ["disk full (needs root on Linux)"]
        return missing + ([] if self._stand.clocks else ["clock stepped (needs cc)"])

    def remember_rings(self) -> None:
        """Keep copies of what lies in the list, to deliver them once more."""
        try:
            with self._stand.redis_client() as client:
                self._rings = [*self._rings, *client.lrange(QUEUE, 0, 4)][-20:]
        except redis.RedisError:
            pass

    # Processes

    def _signal_child(self, number: signal.Signals) -> str | None:
        child = self._child()
        if child is not None:
            _send(child, number)
        return None if child is None else f"process {child}"

    def _freeze_child(self) -> str | None:
        child = None if self._frozen else self._child()
        return None if child is None else self._freeze([child])

    def _freeze_worker(self) -> str | None:
        worker = None if self._frozen else self._worker()
        return None if worker is None or worker.pid is None else self._freeze([worker.pid])

    def _freeze_machine(self) -> str | None:
        worker = None if self._frozen else self._worker()
        return None if worker is None or worker.pid is None else self._freeze([worker.pid, *descendants(worker.pid)])

    def _freeze(self, pids: list[int]) -> str:
        self._frozen = True
        for pid in pids:
            _send(pid, signal.SIGSTOP)
        self._later(FROZEN_SECONDS, lambda: self._thaw(pids))
        return f"processes {pids}"

    def _thaw(self, pids: list[int]) -> None:
        self._frozen = False
        for pid in self._chance.sample(pids, len(pids)):
            _send(pid, signal.SIGCONT)

    def _end_worker(self, number: signal.Signals) -> str | None:
        worker = self._worker()
        if worker is None:
            return None
        worker.send(number)
        return worker.name

    def _kill_api(self) -> str | None:
        api = self._stand.api
        if not api.is_alive or api.pid is None:
            return None
        below = descendants(api.pid)
        api.send(signal.SIGKILL)
        for pid in below:
            _send(pid, signal.SIGKILL)
        return api.name

    def _child(self) -> int | None:
        found = sorted(self._watcher.trainers)
        return self._chance.choice(found) if found else None

    def _worker(self) -> Service | None:
        """A worker that is ready; mostly one beside which another is ready too, so that work goes on."""
        ready = [worker for worker in self._stand.workers if self._stand.is_ready(worker)]
        if not ready or (len(ready) == 1 and self._chance.random() < 0.7):
            return None
        return self._chance.choice(ready)

    # Redis and the network

    def _kill_redis(self, away_seconds: float | None) -> str | None:
        service = self._stand.redis
        if not service.is_alive:
            return None
        service.send(signal.SIGKILL, away_seconds=away_seconds)
        return service.name

    def _flush(self) -> str | None:
        return self._in_redis(lambda client: f"{client.dbsize()} keys" if client.flushall() else None)

    def _pause_redis(self) -> str | None:
        seconds = self._chance.uniform(1, 6)
        return self._in_redis(lambda client: f"{seconds:.1f} s" if client.client_pause(int(seconds * 1000)) else None)

    def _double_rings(self) -> str | None:
        rings = [ring for ring in self._rings for _ in range(2)]
        return self._in_redis(lambda client: f"{len(rings)} rings" if client.lpush(QUEUE, *rings) else None, rings)

    def _lose_rings(self) -> str | None:
        return self._in_redis(lambda client: "all rings" if client.delete(QUEUE) else None)

    def _push_junk(self) -> str | None:
        junk = self._chance.choice(_JUNK)
        return self._in_redis(lambda client: repr(junk[:40]) if client.lpush(QUEUE, junk) else None)

    def _in_redis(self, act: Callable[["redis.Redis"], str | None], needed: object = True) -> str | None:
        if not needed:
            return None
        try:
            with self._stand.redis_client() as client:
                return act(client)
        except redis.RedisError:
            return None

    def _cut_network(self) -> str | None:
        name = self._chance.choice(sorted(self._stand.links))
        self._stand.links[name].cut()
        self._later(self._chance.uniform(2, 9), self._stand.links[name].mend)
        return name

    def _reset_network(self) -> str | None:
        name = self._chance.choice(sorted(self._stand.links))
        self._stand.links[name].reset()
        return name

    # Disk and clock

    def _fill_disk(self) -> str | None:
        if self._disk_is_full:
            return None
        self._disk_is_full = True
        self._stand.disk.fill()
        self._later(self._chance.uniform(1, 7), self._free_disk)
        return "volume"

    def _free_disk(self) -> None:
        self._stand.disk.free()
        self._disk_is_full = False

    def _step_clock(self) -> str | None:
        name = self._chance.choice(sorted(self._stand.clocks))
        seconds = self._chance.choice([-86_400, -7_200, -60, 60, 7_200, 86_400])
        self._stand.clocks[name].step(seconds)
        self._later(self._chance.uniform(3, 15), lambda: self._stand.clocks[name].step(0))
        return f"{name} by {seconds} s"


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
