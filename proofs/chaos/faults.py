"""The faults of the service. Each returns what it hit, or None if there was nothing to hit."""

import contextlib
import os
import random
import re
import shutil
import signal
import struct
from collections.abc import Callable
from pathlib import Path

import redis

from proofs.chaos.preload import VolumeState
from proofs.chaos.services import Service
from proofs.chaos.stand import Stand
from proofs.chaos.watcher import Watcher
from shared.queue import QUEUE
from tests.support.worker_process import QUICK, descendants

# Others have taken over before a frozen process continues: after 45 s if that takes 30 s.
FROZEN_SECONDS = 1.5 * float(QUICK["FITSTOP_TAKE_OVER_SECONDS"])
# Enough for a claim, too little for a checkpoint and a resume point.
_NEARLY_FULL_BYTES = 200 * 1024
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
    """`later` is called to undo faults that do not end by themselves."""

    def __init__(self, stand: Stand, watcher: Watcher, chance: random.Random, later: Later) -> None:
        self._stand = stand
        self._watcher = watcher
        self._chance = chance
        self._later = later
        self._frozen = False
        self._volume_is_bad = False
        self._full: set[str] = set()
        self._notifications: list[bytes] = []

    def by_kind(self) -> dict[str, tuple[int, Callable[[], str | None]]]:
        """Every fault that this machine can cause, with its weight."""
        every: dict[str, tuple[int, Callable[[], str | None]]] = {
            "child killed": (24, lambda: self._signal_child(signal.SIGKILL)),
            "child terminated": (4, lambda: self._signal_child(signal.SIGTERM)),
            "child frozen": (4, self._freeze_child),
            "worker killed": (6, lambda: self._end_worker(signal.SIGKILL)),
            "worker terminated": (6, lambda: self._end_worker(signal.SIGTERM)),
            "worker frozen": (5, self._freeze_worker),
            "worker and all its processes killed": (6, self._kill_tree),
            "all workers and their processes killed": (4, self._kill_all_trees),
            "machine frozen": (6, self._freeze_machine),
            "fork server killed": (6, lambda: self._signal_fork_server(signal.SIGKILL)),
            "fork server frozen": (4, self._freeze_fork_server),
            "fork server cut off": (5, self._cut_off_fork_server),
            "API killed": (5, self._kill_api),
            "Redis killed": (4, lambda: self._kill_redis(None)),
            "Redis replaced by an empty one": (4, lambda: self._kill_redis(0)),
            "Redis flushed": (4, self._flush),
            "Redis paused": (3, self._pause_redis),
            "notifications doubled": (5, self._double_notifications),
            "notifications lost": (3, self._lose_notifications),
            "junk among the notifications": (3, self._push_junk),
            "network cut": (4, self._cut_network),
            "network reset": (3, self._reset_network),
        }
        if self._stand.disk.can_fill:
            every["volume full"] = (5, lambda: self._fill_volume(0))
            every["volume nearly full"] = (5, lambda: self._fill_volume(_NEARLY_FULL_BYTES))
            every["volume away"] = (4, self._take_volume_away)
            every["local disk full"] = (5, self._fill_local_disk)
        if self._stand.preloads:
            every["volume answers EIO"] = (5, lambda: self._break_volume(VolumeState.WRITES_FAIL))
            every["volume read-only"] = (4, lambda: self._break_volume(VolumeState.READ_ONLY))
            every["volume hangs"] = (4, lambda: self._break_volume(VolumeState.HANGS))
            every["clock stepped"] = (6, self._step_clock)
        return every

    def left_out(self) -> list[str]:
        missing = [] if self._stand.disk.can_fill else ["disks full and away (needs root on Linux)"]
        return missing + ([] if self._stand.preloads else ["clock stepped, volume broken (needs cc)"])

    def remember_notifications(self) -> None:
        """Keep copies of the notifications in the list, to deliver them again."""
        try:
            with self._stand.redis_client() as client:
                self._notifications = [*self._notifications, *client.lrange(QUEUE, 0, 4)][-20:]
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

    def _kill_tree(self) -> str | None:
        worker = self._worker()
        if worker is None or worker.pid is None:
            return None
        _kill_all(worker)
        return worker.name

    def _kill_all_trees(self) -> str | None:
        alive = [worker for worker in self._stand.workers if worker.is_alive]
        for worker in alive:
            _kill_all(worker)
        return ", ".join(worker.name for worker in alive) or None

    def _kill_api(self) -> str | None:
        api = self._chance.choice(self._stand.apis)
        if not api.is_alive:
            return None
        _kill_all(api)
        return api.name

    # A worker's fork server

    def _signal_fork_server(self, number: signal.Signals) -> str | None:
        found = self._fork_server()
        if found is None:
            return None
        worker, pid = found
        self._sabotage(worker)
        _send(pid, number)
        return f"{worker.name}, process {pid}"

    def _freeze_fork_server(self) -> str | None:
        found = self._fork_server()
        if found is None:
            return None
        worker, pid = found
        self._sabotage(worker)
        _send(pid, signal.SIGSTOP)
        self._later(FROZEN_SECONDS, lambda: _send(pid, signal.SIGCONT))
        return f"{worker.name}, process {pid}"

    def _cut_off_fork_server(self) -> str | None:
        """Remove the folder of its socket, as a cleaner of temporary files does."""
        found = self._fork_server()
        folder = None if found is None else socket_folder(found[1])
        if found is None or folder is None:
            return None
        self._sabotage(found[0])
        shutil.rmtree(folder, ignore_errors=True)
        return f"{found[0].name}, {folder.name}"

    def _fork_server(self) -> tuple[Service, int] | None:
        worker = self._worker()
        if worker is None or worker.pid is None:
            return None
        servers = [pid for pid in descendants(worker.pid) if is_fork_server(pid)]
        return (worker, servers[0]) if servers else None

    def _sabotage(self, worker: Service) -> None:
        """Record that this worker may end with 1, because it may be unable to recover."""
        self._stand.record.write("sabotaged", service=worker.name)

    def _child(self) -> int | None:
        found = sorted(self._watcher.trainers)
        return self._chance.choice(found) if found else None

    def _worker(self) -> Service | None:
        """Choose a worker that is ready, mostly one beside another ready worker, so that work continues."""
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

    def _double_notifications(self) -> str | None:
        notifications = [one for one in self._notifications for _ in range(2)]
        return self._in_redis(
            lambda client: f"{len(notifications)} notifications" if client.lpush(QUEUE, *notifications) else None,
            notifications,
        )

    def _lose_notifications(self) -> str | None:
        return self._in_redis(lambda client: "all notifications" if client.delete(QUEUE) else None)

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
        self._later(self._chance.uniform(2, 9), self._stand.links[name].restore)
        return name

    def _reset_network(self) -> str | None:
        name = self._chance.choice(sorted(self._stand.links))
        self._stand.links[name].reset()
        return name

    # Disks and clocks

    def _fill_volume(self, leave_bytes: int) -> str | None:
        if self._volume_is_bad:
            return None
        self._volume_is_bad = True
        self._stand.disk.fill(leave_bytes)
        self._later(self._chance.uniform(1, 12), self._free_volume)
        return f"{leave_bytes} bytes left"

    def _free_volume(self) -> None:
        self._stand.disk.free()
        self._volume_is_bad = False

    def _take_volume_away(self) -> str | None:
        if self._volume_is_bad:
            return None
        self._volume_is_bad = True
        self._stand.disk.take_away()
        self._later(self._chance.uniform(1, 10), self._bring_volume_back)
        return "volume"

    def _bring_volume_back(self) -> None:
        self._stand.disk.bring_back()
        self._volume_is_bad = False

    def _break_volume(self, state: VolumeState) -> str | None:
        """Make the volume fail for one machine, or for all of them."""
        if self._volume_is_bad:
            return None
        self._volume_is_bad = True
        names = sorted(self._stand.preloads)
        hit = names if self._chance.random() < 0.5 else [self._chance.choice(names)]
        for name in hit:
            self._stand.preloads[name].set_volume(state)
        self._later(self._chance.uniform(1, 10), lambda: self._restore_volume(hit))
        return ", ".join(hit)

    def _restore_volume(self, names: list[str]) -> None:
        for name in names:
            self._stand.preloads[name].set_volume(VolumeState.WELL)
        self._volume_is_bad = False

    def _fill_local_disk(self) -> str | None:
        name = self._chance.choice(sorted(self._stand.local_disks))
        if name in self._full:
            return None
        self._full.add(name)
        self._stand.record.write("sabotaged", service=name)
        self._stand.local_disks[name].fill()
        self._later(self._chance.uniform(2, 12), lambda: self._free_local_disk(name))
        return name

    def _free_local_disk(self, name: str) -> None:
        self._stand.local_disks[name].free()
        self._full.discard(name)

    def _step_clock(self) -> str | None:
        name = self._chance.choice(sorted(self._stand.preloads))
        seconds = self._chance.choice([-86_400, -7_200, -60, 60, 7_200, 86_400])
        self._stand.preloads[name].step_clock(seconds)
        self._later(self._chance.uniform(3, 15), lambda: self._stand.preloads[name].step_clock(0))
        return f"{name} by {seconds} s"


def is_fork_server(pid: int) -> bool:
    """Whether a process is multiprocessing's fork server itself, not a child that it forked."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return b"forkserver" in command and b"forkserver" not in Path(f"/proc/{parent}/cmdline").read_bytes()
    except OSError:
        return False


def socket_folder(pid: int) -> Path | None:
    """The folder of the Unix socket that a process listens on."""
    sockets = {}
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if len(fields) == 8 and fields[7].startswith("/"):
            sockets[fields[6]] = fields[7]
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
            if found and found[1] in sockets:
                return Path(sockets[found[1]]).parent
    return None


def _kill_all(service: Service) -> None:
    """Kill the service and everything below it, as if its machine were lost."""
    below = descendants(service.pid) if service.pid is not None else []
    service.send(signal.SIGKILL)
    for pid in below:
        _send(pid, signal.SIGKILL)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
