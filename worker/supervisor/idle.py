"""A worker with nothing to do: since when, and the command that stops the machine that is rented for it."""

import logging
import subprocess
import time
from collections.abc import Callable, Mapping

_HOOK_SECONDS = 60

log = logging.getLogger(__name__)


class IdleClock:
    """Runs while a worker has nothing to do, by this machine's monotonic clock. `limit_seconds` 0: never up."""

    def __init__(self, limit_seconds: float) -> None:
        self._limit = limit_seconds
        self._since = time.monotonic()

    def restart(self) -> None:
        """There is something to do."""
        self._since = time.monotonic()

    def is_up(self, work_waits: Callable[[], bool]) -> bool:
        """Whether nothing was to do for that time. The queue is asked only then, since that reads the volume."""
        if not self._limit or time.monotonic() - self._since < self._limit:
            return False
        if work_waits():
            self.restart()
            return False
        return True


def run_hook(command: str, environment: Mapping[str, str]) -> bool:
    """Run the command by the shell with an environment; False where it fails or takes over a minute."""
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
