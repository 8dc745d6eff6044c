"""The fork server of `multiprocessing`: Python keeps one for each process, and starts another where it has ended.

What Python has no words for stands here: whether it runs, how to end one that hangs, and a folder for its socket where
a cleaner of temporary files has removed that. The private names are pinned by a test.
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
    """End it with SIGKILL, and with it every child that it has forked. Nothing happens where there is none."""
    # The socket may be gone already.
    with _server._lock, suppress(FileNotFoundError):
        if _server._forkserver_pid is not None:
            os.kill(_server._forkserver_pid, signal.SIGKILL)
        _server._stop_unlocked()


def restore_socket_folder() -> None:
    """Make the folder for the next one's socket again where somebody has removed it. Raises OSError."""
    Path(util.get_temp_dir()).mkdir(mode=0o700, exist_ok=True)
