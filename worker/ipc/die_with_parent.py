"""Makes the kernel kill a child when its parent ends, whatever state the child is in."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to SIGKILL this process when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG).

    Not inherited by fork: each process asks for itself. Does nothing on other systems than Linux, where a training
    child notices by itself that the heartbeat has stopped.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        os.kill(os.getpid(), signal.SIGKILL)
