"""Ensures that only one `fitstop up` uses a data folder: by a kernel lock, or a file if the filesystem has no locks.

The file `.lock` names the process that uses the folder: host, process id, and the time when the process started, since
process ids are used again. Network and FUSE filesystems may refuse flock (ENOLCK, EOPNOTSUPP). Then the file
`.lock.owner` names the process, and its existence is the lock.
"""

import fcntl
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fitstop.local.ports import StackError


@dataclass(frozen=True)
class Holder:
    """The process of a `fitstop up`."""

    host: str
    pid: int
    started: str

    @property
    def is_here(self) -> bool:
        """Whether it belongs to this machine."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether the same process still runs on this machine."""
        return self.is_here and _start_time(self.pid) == self.started


def find_holder(data: Path) -> Holder | None:
    """Find the `fitstop up` that uses a folder, if known; None if there is none, or it has ended."""
    for name in (".lock.owner", ".lock"):
        found = _holder(data / name)
        if not isinstance(found.get("pid"), int):
            continue
        holder = Holder(str(found.get("host")), found["pid"], str(found.get("started")))
        if holder.is_alive or not holder.is_here:
            return holder
    return None


class DataLock:
    """Locks `data` from `take` to `release`."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._file: IO[bytes] | None = None
        self._owner: Path | None = None

    def take(self) -> None:
        """Lock the folder. Raises StackError if another `up` uses it."""
        self._file = (self._data / ".lock").open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._name_us()
        except BlockingIOError:
            self.release()
            raise StackError(
                f"another `fitstop up` uses {self._data} and is starting or stopping; wait until it has stopped"
            ) from None
        except OSError:
            self._take_by_name(self._data / ".lock.owner")

    def _name_us(self) -> None:
        assert self._file is not None
        self._file.truncate(0)
        self._file.write(json.dumps(_this_process()).encode())
        self._file.flush()

    def release(self) -> None:
        """Unlock the folder. Does nothing if it is not locked."""
        if self._owner is not None:
            self._owner.unlink(missing_ok=True)
            self._owner = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take_by_name(self, owner: Path) -> None:
        for _ in range(2):
            try:
                with owner.open("x") as file:
                    json.dump(_this_process(), file)
            except FileExistsError:
                _remove_if_stale(owner)
            else:
                self._owner = owner
                return
        self.release()
        raise StackError(
            f"another `fitstop up` uses {self._data}: {_describe(owner)}. If it no longer runs, remove {owner}"
        )


def _this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _start_time(os.getpid())}


def _remove_if_stale(owner: Path) -> None:
    """Remove the file if its process ran on this host and has ended."""
    holder = _holder(owner)
    if holder.get("host") != socket.gethostname() or not isinstance(holder.get("pid"), int):
        return
    started = _start_time(holder["pid"])
    if started is None or started != str(holder.get("started")):
        owner.unlink(missing_ok=True)


def _start_time(pid: int) -> str | None:
    """When a process started, in clock ticks since the boot; empty without /proc. None if it has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # another user's process runs
    try:
        # proc_pid_stat(5): the 3rd and the 22nd field, counted after the name in brackets. A zombie has ended.
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if status[0] in {"Z", "X"} else status[19]
    except OSError:
        return ""


def _holder(owner: Path) -> dict[str, Any]:
    try:
        document = json.loads(owner.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _describe(owner: Path) -> str:
    holder = _holder(owner)
    return f"process {holder['pid']} on {holder['host']}" if {"pid", "host"} <= holder.keys() else "it is starting"
