"""`python tether.py <parent's pid> <command…>` becomes the command, which ends with its parent.

A `preexec_fn` of `subprocess` could do the same, but it is not safe in a process with threads, and the stack restarts
its components from a thread. This program imports only the standard library, so it starts with `-I -S` in a few
milliseconds.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask the kernel for a SIGTERM when the parent ends, even by `kill -9`. Does nothing except on Linux."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the call
        sys.exit(1)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606  no shell is the point
