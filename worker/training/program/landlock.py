"""Landlock (landlock(7)): restricts the files that this process and its children may use, and forbids TCP.

The kernel's ABI says what it supports: 1 (Linux 5.13) files, 2 renames between folders, 3 (6.2) truncation, 4 (6.7)
TCP, 5 ioctl on devices, 6 (6.12) signals and abstract sockets, 8 all threads at once. No package is used, because those
that exist are months old, with one author each and about 350 lines.
"""

import ctypes
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from worker.training.program.kernel import MACHINE, NotGiven, call

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_ABI = 1
_PATH_BENEATH = 1
_ALL_THREADS = 1 << 3

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_DIR, _MAKE_REG = 1 << 7, 1 << 8
_REFER, _TRUNCATE, _IOCTL_DEV = (1 << bit for bit in range(13, 16))
# MAKE_CHAR, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK and MAKE_SYM are never allowed, because others read what is written.
_ALL_OF_ABI_1 = (1 << 13) - 1
_FOR_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

READ = _EXECUTE | _READ_FILE | _READ_DIR
WRITE = READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
DEVICE = _READ_FILE | _WRITE_FILE | _READ_DIR | _IOCTL_DEV
# Named semaphores and shared memory: used by their names, never listed.
SHARED_MEMORY = _READ_FILE | _WRITE_FILE | _MAKE_REG | _REMOVE_FILE | _TRUNCATE
OWN_PROCESS = _READ_FILE | _READ_DIR | _WRITE_FILE | _TRUNCATE

_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11

TRUNCATION_ABI, TCP_ABI, SCOPES_ABI, THREADS_ABI = 3, 4, 6, 8


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


@dataclass(frozen=True)
class Allowed:
    """A file or a folder with its content, and the allowed operations."""

    path: Path
    rights: int


def landlock_abi() -> int:
    """The kernel's version of Landlock; 0 if it has none or it is switched off."""
    if not MACHINE:
        return 0
    try:
        return call(_CREATE, None, 0, _ASK_ABI)
    except OSError:
        return 0


class Ruleset:
    """The allowed paths, ready to be enforced. Paths are opened here, while this process can still reach them.

    A missing path is left out. Raises NotGiven if the kernel has no Landlock.
    """

    def __init__(self, allowed: Iterable[Allowed], *, tcp: bool, abi: int) -> None:
        if not abi:
            raise NotGiven("the kernel has no Landlock (Linux 5.13 or newer, with `landlock` among its LSMs)")
        self._abi = abi
        self._files = _ALL_OF_ABI_1 | _since(abi, 2, _REFER) | _since(abi, 3, _TRUNCATE) | _since(abi, 5, _IOCTL_DEV)
        handled = _Ruleset(
            self._files,
            0 if tcp else _since(abi, TCP_ABI, _TCP),
            _since(abi, SCOPES_ABI, _ABSTRACT_SOCKETS_AND_SIGNALS),
        )
        size = 24 if abi >= SCOPES_ABI else 16 if abi >= TCP_ABI else 8
        self._descriptor = call(_CREATE, ctypes.byref(handled), size, 0)
        self._kept: list[int] = []
        for one in allowed:
            with suppress(FileNotFoundError, NotADirectoryError):
                self._allow(one)

    def _allow(self, one: Allowed) -> None:
        opened = os.open(one.path, os.O_PATH | os.O_CLOEXEC)
        rights = one.rights & self._files
        if not one.path.is_dir():
            rights &= _FOR_FILES
        rule = _PathBeneath(rights, opened)
        call(_ADD, self._descriptor, _PATH_BENEATH, ctypes.byref(rule), 0)
        # A rule for /proc is valid only while the kernel knows its folder, which an open descriptor ensures.
        if one.rights == OWN_PROCESS:
            self._kept.append(opened)
        else:
            os.close(opened)

    def enforce(self) -> None:
        """Enforce the rules for this thread and its children, from ABI 8 on for all threads. Needs no_new_privs."""
        call(_RESTRICT, self._descriptor, _since(self._abi, THREADS_ABI, _ALL_THREADS))
        os.close(self._descriptor)


def _since(abi: int, first: int, value: int) -> int:
    return value if abi >= first else 0


def allow(paths: Sequence[Path], rights: int) -> list[Allowed]:
    """The same rights for several paths."""
    return [Allowed(path, rights) for path in paths]
