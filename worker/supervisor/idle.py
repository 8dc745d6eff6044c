"""How long a worker has been idle, and the hook, a command that stops its rented machine."""

import logging
import subprocess
import time
from collections.abc import Callable, Mapping

_HOOK_SECONDS = 60

log = logging.getLogger(__name__)


class IdleClock:
    """Measures how long a worker has been idle, by the monotonic clock. `limit_seconds` 0: no limit."""

    def __init__(self, limit_seconds: float) -> None:
        self._limit = limit_seconds
        self._since = time.monotonic()

    def restart(self) -> None:
        """Count from now, because there is work."""
        self._since = time.monotonic()

    def is_up(self, work_waits: Callable[[], bool]) -> bool:
        """Whether the worker has been idle for the limit. `work_waits`, which reads the volume, is called only then."""
        if not self._limit or time.monotonic() - self._since < self._limit:
            return False
        if work_waits():
            self.restart()
            return False
        return True


def run_hook(command: str, environment: Mapping[str, str]) -> bool:
    """Run the hook in a shell with this environment; False if it fails or takes more than a minute."""
    try:
        done = subprocess.run(  # noqa: S602  the command of the machine's owner
            command,
            shell=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_HOOK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.error("FITSTOP_IDLE_HOOK failed: %s", error)
        return False
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        log.error("FITSTOP_IDLE_HOOK ended with status %d: %.500s", done.returncode, said)
        return False
    log.info("FITSTOP_IDLE_HOOK is done")
    return True
