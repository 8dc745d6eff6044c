"""What a process and its descendants use of the CPU, the memory and the disk; read from /proc (proc(5)).

The `children` of psutil would read every process of the machine, once a second.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice

_PROC = "/proc"
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Maximum processes that are read, because a script may start thousands.
_MOST_PROCESSES = 256
# Fields of /proc/<pid>/stat, counted from the one after the name in brackets: user and system time of the process, and
# of its children that have ended.
_TIMES = slice(11, 15)
_MOST_FILE_BYTES = 65_536


@dataclass(frozen=True)
class ProcessUse:
    """What a process and its descendants use: CPU seconds so far, memory without mapped files, disk bytes so far.

    Disk bytes were really read from or written to a disk; None if the kernel does not report them.
    """

    cpu_seconds: float
    memory_bytes: int
    read_bytes: int | None
    written_bytes: int | None


def process_family(pid: int) -> Iterator[int]:
    """Yield the ids of a process and its living descendants. Without /proc, yield only that of the process."""
    pending = [pid]
    while pending:
        yield (process := pending.pop())
        with suppress(OSError):
            # A child belongs to the thread that started it.
            for thread in os.listdir(f"{_PROC}/{process}/task"):  # noqa: PTH208  many times a second
                pending += map(int, _read(f"{_PROC}/{process}/task/{thread}/children").split())


def process_use(pid: int) -> ProcessUse | None:
    """What the process and its descendants use; None if it has ended, or the system has no /proc."""
    if not _read(f"{_PROC}/{pid}/stat"):
        return None
    family = list(islice(process_family(pid), _MOST_PROCESSES))
    disk = [one for process in family if (one := _disk_bytes(process)) is not None]
    return ProcessUse(
        cpu_seconds=sum(map(_cpu_seconds, family)),
        memory_bytes=sum(map(anonymous_bytes, family)),
        read_bytes=sum(read for read, _ in disk) if disk else None,
        written_bytes=sum(written for _, written in disk) if disk else None,
    )


def anonymous_bytes(pid: int) -> int:
    """Bytes of memory of a process, without mapped files; 0 if unknown."""
    return 1024 * _value(_read(f"{_PROC}/{pid}/status"), b"RssAnon:")


@cache
def available_cores() -> float:
    """Number of cores that this process may use; a fraction if its container has a CPU quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").decode().partition(" ")
    return min(cores, int(quota) / int(period)) if quota.isdecimal() else cores


def _cpu_seconds(pid: int) -> float:
    times = _read(f"{_PROC}/{pid}/stat").rpartition(b")")[2].split()[_TIMES]
    return sum(map(int, times)) / _TICKS_PER_SECOND


def _disk_bytes(pid: int) -> tuple[int, int] | None:
    """Bytes read and written; None if unknown, such as for a process of another user in a container."""
    content = _read(f"{_PROC}/{pid}/io")
    return (_value(content, b"read_bytes:"), _value(content, b"write_bytes:")) if content else None


def _value(content: bytes, name: bytes) -> int:
    """The number after `name` at the beginning of a line; 0 if there is none."""
    _, found, rest = (b"\n" + content).partition(b"\n" + name)
    return int(rest.split(maxsplit=1)[0]) if found else 0


def _read(path: str) -> bytes:
    """The content of a file in /proc; empty for a process that has ended."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, _MOST_FILE_BYTES)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
