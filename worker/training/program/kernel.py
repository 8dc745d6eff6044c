"""System calls for which Python has no function, by number, on x86-64 and aarch64."""

import ctypes
import os
import platform
import sys
from contextlib import suppress

PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECUREBITS, _NO_SETUID_FIXUP = 28, 1 << 2
_PR_CAP_AMBIENT, _RAISE = 47, 2

MACHINE = platform.machine() if sys.platform.startswith("linux") else ""

_libc = ctypes.CDLL(None, use_errno=True)


class NotGiven(Exception):
    """The kernel does not provide a layer of the sandbox; the message says why."""


def call(number: int, *arguments: "int | ctypes._CArgObject | None") -> int:
    """Make a system call, and return its result. Raises OSError."""
    longs = (ctypes.c_long(value) if isinstance(value, int) else value for value in arguments)
    _libc.syscall.restype = ctypes.c_long
    return _check(_libc.syscall(ctypes.c_long(number), *longs))


def prctl(option: int, *values: int) -> None:
    """Change an attribute of this process, as prctl does. Raises OSError."""
    _check(_libc.prctl(option, *(ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4])))


def _check(result: int) -> int:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityHalf(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


_CAPABILITY_VERSION = 0x2008_0522


def permitted_capabilities() -> int:
    """The capabilities that this thread may use, as bits."""
    header, halves = _CapabilityHeader(_CAPABILITY_VERSION, 0), (_CapabilityHalf * 2)()
    if _libc.capget(ctypes.byref(header), halves) == -1:
        return 0
    return int(halves[0].permitted) | int(halves[1].permitted) << 32


def count_capabilities_in_access() -> None:
    """Let access(2) count the capabilities of a user that is not root, as open(2) does. Does nothing without the right.

    Python's `os.access` asks the kernel, which drops them without the bit SECBIT_NO_SETUID_FIXUP (capabilities(7)).
    """
    with suppress(PermissionError):
        prctl(_PR_SET_SECUREBITS, _NO_SETUID_FIXUP)


def keep_capabilities(kept: int) -> None:
    """Drop all capabilities of this thread except `kept` (bits of the lower 32), which its children inherit."""
    header, halves = _CapabilityHeader(_CAPABILITY_VERSION, 0), (_CapabilityHalf * 2)()
    halves[0] = _CapabilityHalf(kept, kept, kept)
    _check(_libc.capset(ctypes.byref(header), halves))
    for capability in (bit for bit in range(32) if kept >> bit & 1):
        prctl(_PR_CAP_AMBIENT, _RAISE, capability)
