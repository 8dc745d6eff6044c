"""The identity of a process, by which another process of the same machine can check whether it has ended.

A pid alone is not enough: pids are reused, and each container numbers its own processes and may share the host's name.
Within one boot (its random id) and the same namespaces of pids and of time, a pid and its start time always mean the
same process. If any of these cannot be read, no process counts as ended.
"""

import ctypes
import os
import sys
from pathlib import Path

from shared.job import ProcessIdentity

_PR_SET_DUMPABLE = 4
_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys/kernel/random/boot_id"
# Fields of /proc/<pid>/stat (proc_pid_stat(5)), counted from the field after the name in brackets.
_STATE, _THREADS, _STARTED = 0, 17, 19


def this_process() -> ProcessIdentity | None:
    """The identity of the calling process; None if the system does not provide it, such as outside Linux."""
    try:
        # A /proc of another namespace would show other processes under the pids of this one.
        if str((_PROC / "self").readlink()) != str(os.getpid()):
            return None
        namespaces = [(_PROC / "self/ns" / name).stat().st_ino for name in ("pid", "time")]
        machine = "/".join([_BOOT_ID.read_text().strip(), *map(str, namespaces)])
        return ProcessIdentity(machine=machine, pid=os.getpid(), started=int(_facts(os.getpid())[_STARTED]))
    except (OSError, ValueError, IndexError):
        return None


def is_gone(process: ProcessIdentity | None) -> bool:
    """Whether the process has certainly ended; False if it is of another machine, or if that cannot be found out."""
    here = this_process()
    if process is None or here is None or process.machine != here.machine:
        return False
    if not is_alive(process.pid):
        return True
    try:
        facts = _facts(process.pid)
        return int(facts[_STARTED]) != process.started or _is_zombie(facts)
    except (OSError, ValueError, IndexError):
        return False


def is_alive(pid: int) -> bool:
    """Whether a process of any user has this pid; a zombie counts."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def hide_memory() -> None:
    """Keep other processes of this user from reading the memory and the environment of this one (prctl(2)).

    They hold secrets that a training process of the same user must not see. Applies until this process executes another
    program, and also to its forks. Does nothing outside Linux.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _is_zombie(facts: list[str]) -> bool:
    """Whether it has ended and its parent has not reaped it. A zombie with more than one thread still runs."""
    return facts[_STATE] in {"Z", "X"} and int(facts[_THREADS]) <= 1


def _facts(pid: int) -> list[str]:
    return (_PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
