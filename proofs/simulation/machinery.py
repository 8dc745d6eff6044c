"""The simulated world in place of `os`, `time`, `threading` and the wall clock, while a context is open.

The product's modules are not changed. Code outside a simulated process uses the real functions.
"""

import errno
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import partial
from threading import get_ident
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import api.jobs.end
import shared.durable
import shared.events
import shared.job_folder
import shared.mirror.attached
import shared.mirror.late
import shared.mirror.local_folder
import shared.mirror.mirror
import shared.mirror.pull
import shared.mirror.push
import shared.plain_files
import shared.times
import shared.volume
import worker.supervisor.attempt
import worker.supervisor.claim
import worker.supervisor.heartbeat
import worker.supervisor.patrol
import worker.supervisor.slot_table
import worker.supervisor.slots
import worker.supervisor.uploads
import worker.supervisor.volume_watch
import worker.training.heartbeat_watchdog
import worker.training.stop_requests
from proofs.simulation.eye import Eye
from proofs.simulation.kernel import Kernel, Killed, Signal, Task
from shared.document import parse_document
from shared.job import ProcessIdentity
from shared.volume import Volume

_READING = ("stat", "listdir", "scandir")
_CHANGING = ("link", "replace", "rename", "unlink", "mkdir", "rmdir", "write", "fsync", "open")
_TRAINING = (worker.training.heartbeat_watchdog, worker.training.stop_requests)
_WATCHING = (worker.supervisor.heartbeat, worker.supervisor.patrol, worker.supervisor.volume_watch)
_TIMED = (
    shared.events,
    worker.supervisor.attempt,
    worker.supervisor.claim,
    worker.supervisor.slots,
    shared.mirror.late,
    shared.mirror.mirror,
    shared.mirror.pull,
    shared.mirror.push,
    *_WATCHING,
    *_TRAINING,
)
_THREADED = (
    worker.supervisor.attempt,
    worker.supervisor.heartbeat,
    worker.supervisor.slot_table,
    worker.supervisor.slots,
    worker.supervisor.uploads,
    worker.training.heartbeat_watchdog,
)
_TOKENS = (
    shared.durable,
    shared.mirror.local_folder,
    shared.mirror.mirror,
    shared.mirror.push,
    shared.volume,
    worker.supervisor.slots,
)


@dataclass
class Disk:
    """How long a file operation takes: up to `seconds` with the probability `share`, otherwise no time."""

    share: float
    seconds: float


class World:
    """The world that runs now, on which the functions below act."""

    kernel: Kernel
    eye: Eye
    disk: Disk
    volume: Volume
    is_on = False
    thread = 0


@contextmanager
def simulated() -> Iterator[None]:
    """Put the simulated functions in place, so that worlds may run inside the block."""
    # Found once, under a lock, by file operations. In a world these are suspended, and others would wait for ever.
    tempfile.gettempdir()
    with ExitStack() as stack:
        plain = partial(_open_plain, os.open)
        stack.enter_context(patch.object(shared.plain_files, "_open", _operation("open file", plain, plain)))
        for name in (*_READING, *_CHANGING):
            ours = _nothing if name == "fsync" else getattr(os, name)
            stack.enter_context(patch.object(os, name, _operation(name, ours, getattr(os, name))))
        stack.enter_context(patch.object(io, "open", _operation("open file", io.open, io.open)))
        stack.enter_context(patch.object(os, "getpid", partial(_pid, os.getpid)))
        clock = SimpleNamespace(monotonic=_monotonic, sleep=_sleep)
        for module in _TIMED:
            stack.enter_context(patch.object(module, "time", clock))
        for module in _THREADED:
            stack.enter_context(
                patch.object(module, "threading", SimpleNamespace(Thread=Thread, Event=Event, Timer=Timer, Lock=Lock))
            )
        tokens = SimpleNamespace(token_hex=_token)
        for module in _TOKENS:
            stack.enter_context(patch.object(module, "secrets", tokens))
        stack.enter_context(patch.object(shared.times, "datetime", WallClock))
        stack.enter_context(patch.object(shared.mirror.attached, "_attached", Attached()))
        stack.enter_context(patch.object(api.jobs.end, "service", lambda: SimpleNamespace(volume=World.volume)))
        stack.enter_context(patch.object(shared.job_folder, "read_document", _remembering_read()))
        stack.enter_context(patch.object(worker.supervisor.attempt, "out_of_memory_kills", lambda: 0))
        stack.enter_context(patch.object(worker.supervisor.attempt, "held_bytes", lambda _: 0))
        stack.enter_context(patch.object(worker.supervisor.attempt, "training_limit", lambda _: None))
        # System metrics decide nothing.
        stack.enter_context(patch.object(worker.supervisor.attempt, "SystemSampler", lambda *_: nullcontext()))
        for module in (worker.supervisor.claim, worker.supervisor.slots):
            stack.enter_context(patch.object(module, "memory_bytes", lambda: None))
        stack.enter_context(patch.object(worker.supervisor.slots, "device_name", lambda: "CPU"))
        stack.enter_context(patch.object(worker.supervisor.slots, "this_process", this_process))
        stack.enter_context(patch.object(worker.supervisor.patrol, "is_gone", _is_gone))
        # Later checks are the harder case, and checks every quarter of a second would be most of all operations.
        stack.enter_context(patch.object(worker.supervisor.attempt, "_LOOK_SECONDS", 1.0))
        stack.enter_context(patch.object(worker.training.heartbeat_watchdog, "_LOOK_SECONDS", 1.0))
        # A card decides nothing.
        stack.enter_context(patch.object(worker.supervisor.slots, "_CARD_SECONDS", 60))
        yield


def _is_simulated() -> bool:
    """Whether a process of the world calls. Other threads of the real process use real files."""
    return World.is_on and World.thread == get_ident() and World.kernel.current is not None


def _operation(name: str, ours: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
    changes = name in _CHANGING

    def operation(*arguments: Any, **options: Any) -> Any:
        if not _is_simulated():
            return real(*arguments, **options)
        before_an_operation(changes=changes or _opens_for_writing(name, arguments))
        result = ours(*arguments, **options)
        World.eye.sees(name, arguments)
        return result

    return operation


def _open_plain(open_: Callable[[str, int], int], name: str, mode: int) -> int:
    """Open a file in one operation for the whole path, because the volume of a simulation has no links."""
    return open_(name, mode)


def before_an_operation(*, changes: bool) -> None:
    """Cause what is to happen to a process just before one of its file operations."""
    kernel = World.kernel
    task = kernel.current
    assert task is not None
    process = task.process
    if not process.is_alive:
        raise Killed
    if process.armed:
        for act in process.due():
            act()
        kernel.stop_here_if_it_must()
    machine = process.machine
    if machine.hangs_until > kernel.now:
        kernel.pause(machine.hangs_until - kernel.now)
    if kernel.chance.random() < World.disk.share:
        kernel.pause(kernel.chance.random() * World.disk.seconds)
    if changes and machine.fails_until > kernel.now:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def _opens_for_writing(name: str, arguments: tuple[Any, ...]) -> bool:
    return name == "open file" and len(arguments) > 1 and arguments[1] not in {"r", "rb"}


def _monotonic() -> float:
    return World.kernel.monotonic()


def _sleep(seconds: float) -> None:
    World.kernel.sleep(seconds)


def _pid(real: Callable[[], int]) -> int:
    return this_process().pid if _is_simulated() else real()


def _token(size: int) -> str:
    return World.kernel.token(size)


def this_process() -> ProcessIdentity:
    """Replaces `shared.processes.this_process`, for the simulated process that calls."""
    task = World.kernel.current
    assert task is not None
    process = task.process
    return ProcessIdentity(machine=process.machine.name, pid=process.pid, started=0)


def _is_gone(process: ProcessIdentity | None) -> bool:
    """Replaces `shared.processes.is_gone`."""
    task = World.kernel.current
    assert task is not None
    here = task.process.machine
    return process is not None and process.machine == here.name and not here.processes[process.pid - 1].is_alive


def _nothing(*_: Any) -> None:
    """Do nothing, because the volume of a simulation is in memory."""


def _remembering_read() -> Callable[..., Any]:
    """Return a function that parses the same bytes once in all worlds, because documents are frozen."""
    known: dict[Any, Any] = {}

    def read(path: Any, kind: Any) -> Any:
        content = shared.durable.read_bytes(path)
        if content is None:
            return None
        if (kind, content) not in known:
            if len(known) > 10_000:
                known.clear()
            known[kind, content] = parse_document(content, kind, path.name)
        return known[kind, content]

    return read


class Attached(dict[str, Any]):
    """Replaces the attached folders of `shared.mirror.attached`. A training process has none."""

    def __bool__(self) -> bool:
        task = World.kernel.current if _is_simulated() else None
        return task is not None and task.process.has_bucket

    def items(self) -> Any:
        return super().items() if self else {}.items()

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key, default) if self else default


class WallClock(datetime):
    """The wall clock of the machine that the current task runs on."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        if not _is_simulated():
            return datetime.now(tz)
        return datetime.fromtimestamp(World.kernel.wall(), tz or UTC)


class Event:
    """Simulates `threading.Event`."""

    def __init__(self) -> None:
        self._is_set = False
        self._changed = Signal()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        World.kernel.fire(self._changed)

    def wait(self, timeout: float | None = None) -> bool:
        if not self._is_set:
            World.kernel.wait(self._changed, World.kernel.true_seconds(timeout))
        return self._is_set


class Lock:
    """Simulates `threading.Lock` in a `with` statement."""

    def __init__(self) -> None:
        self._is_held = False
        self._released = Signal()

    def __enter__(self) -> None:
        while self._is_held:
            World.kernel.wait(self._released, None)
        self._is_held = True

    def __exit__(self, *_: object) -> None:
        self._is_held = False
        World.kernel.fire(self._released)


class Thread:
    """Simulates `threading.Thread` in the process that starts it."""

    def __init__(self, target: Callable[..., Any], args: Any = (), name: str = "", daemon: bool = False) -> None:
        self._target, self._args = target, args
        self._task: Task | None = None

    def start(self) -> None:
        current = World.kernel.current
        assert current is not None
        self._task = World.kernel.begin(current.process, self._run)

    def join(self, timeout: float | None = None) -> None:
        assert self._task is not None
        if not self._task.is_done:
            World.kernel.wait(self._task.done, World.kernel.true_seconds(timeout))

    def _run(self) -> None:
        self._target(*self._args)


class Timer(Thread):
    """Simulates `threading.Timer`."""

    def __init__(self, interval: float, function: Callable[..., Any], args: Any = ()) -> None:
        super().__init__(function, args)
        self._interval = interval
        self.daemon = False

    def _run(self) -> None:
        World.kernel.sleep(self._interval)
        super()._run()
