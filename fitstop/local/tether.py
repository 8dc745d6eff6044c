"""A program of its own: `python tether.py <parent's pid> <command…>` becomes the command and dies with its parent.

It does what a `preexec_fn` of `subprocess` would do, which is not safe in a process with threads (and a warning from
Python 3.12 on): the stack restarts its components from a thread. Needs nothing but the standard library, so it runs
with `-I -S` in a few milliseconds.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask the kernel for a SIGTERM at the parent's death, even by `kill -9`. Linux only; elsewhere nothing happens."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606  no shell is the point
