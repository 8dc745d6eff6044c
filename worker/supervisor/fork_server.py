"""The fork server of `multiprocessing`. Python starts one for each process, and a new one if it has ended.

This module adds what Python lacks: to check whether it runs, to kill one that hangs, and to restore the folder of its
socket if a cleaner of temporary files has removed it. A test pins the private names.
"""

import os
import signal
from contextlib import suppress
from multiprocessing import forkserver, util
from pathlib import Path
from typing import Any

_server: Any = forkserver._forkserver


def is_running() -> bool:
    """Whether the fork server runs. One that has ended is not reaped here: `multiprocessing` does that."""
    pid = _server._forkserver_pid
    if pid is None:
        return False
    # macOS has no `waitid` before Python 3.13. There the next start detects it.
    return not hasattr(os, "waitid") or os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def stop() -> None:
    """Kill the fork server, which also ends its children. Does nothing if there is none."""
    # The socket may not exist any more.
    with _server._lock, suppress(FileNotFoundError):
        if _server._forkserver_pid is not None:
            os.kill(_server._forkserver_pid, signal.SIGKILL)
        _server._stop_unlocked()


def restore_socket_folder() -> None:
    """Create the folder of the next server's socket again if it was removed. Raises OSError."""
    Path(util.get_temp_dir()).mkdir(mode=0o700, exist_ok=True)
