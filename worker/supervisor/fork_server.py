"""The fork server of `multiprocessing`: Python keeps one for each process, and starts another if it has ended.

This module adds what Python lacks: whether it runs, ending one that hangs, and a new folder for its socket if a cleaner
of temporary files has removed it. The private names are pinned by a test.
"""

import os
import signal
from contextlib import suppress
from multiprocessing import forkserver, util
from pathlib import Path
from typing import Any

_server: Any = forkserver._forkserver


def is_running() -> bool:
    """Whether there is one. One that has ended is left for `multiprocessing` to collect."""
    pid = _server._forkserver_pid
    if pid is None:
        return False
    # Not on macOS before Python 3.13; there the next start finds out.
    return not hasattr(os, "waitid") or os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def stop() -> None:
    """End it and every child that it has forked with SIGKILL. Does nothing if there is none."""
    # The socket may be gone already.
    with _server._lock, suppress(FileNotFoundError):
        if _server._forkserver_pid is not None:
            os.kill(_server._forkserver_pid, signal.SIGKILL)
        _server._stop_unlocked()


def restore_socket_folder() -> None:
    """Create the folder of the next server's socket again if it was removed. Raises OSError."""
    Path(util.get_temp_dir()).mkdir(mode=0o700, exist_ok=True)
