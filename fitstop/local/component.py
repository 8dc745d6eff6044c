"""One process of the local stack: starts it in its own session, watches it, restarts it with back-off, ends it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fitstop.local import tether

QUICK_DEATH_SECONDS = 30.0
MOST_QUICK_DEATHS = 5
LONGEST_BACKOFF_SECONDS = 30.0
# Maximum size of a log; the same amount of the log before it is kept.
MOST_LOG_BYTES = 32 * 1024**2

Report = Callable[[str], None]


def rotate_log(log: Path, most_bytes: int = MOST_LOG_BYTES) -> None:
    """Move the content of a log that is too large to `<name>.1`.

    It is copied and truncated, because its process has it open. A line that is written in between can be lost.
    """
    try:
        if log.stat().st_size > most_bytes:
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)
    except OSError:
        return  # a full disk must not end a component


class GaveUp(Exception):
    """A component died repeatedly at its start. `last_lines` are the end of its log."""

    def __init__(self, component: "Component") -> None:
        self.name = component.name
        self.log = component.log
        self.last_lines = component.last_lines()
        super().__init__(f"{self.name} died {MOST_QUICK_DEATHS} times within seconds of its start; see {self.log}")


@dataclass
class Component:
    """A command with its environment and log. `stop_seconds` is the time between SIGTERM and SIGKILL,
    `backoff_seconds` half of the wait after its first quick death; the wait doubles with each. `before_restart` may
    change its environment. One that `may_finish` is not restarted after exit status 0.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    stop_seconds: float
    stdin: bytes = b""
    backoff_seconds: float = 0.1
    may_finish: bool = False
    before_restart: Callable[["Component"], None] = field(default=lambda _component: None, repr=False)
    started_at: float = 0.0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _quick_deaths: int = 0
    _restart_at: float | None = None

    @property
    def pid(self) -> int | None:
        """The process that runs the command; None before the first start."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        """Whether its process is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def has_finished(self) -> bool:
        """Whether it has finished: it `may_finish`, and has ended with exit status 0."""
        return self.may_finish and self._process is not None and self._process.poll() == 0

    def start(self) -> None:
        """Start the command in its own session, so that Ctrl-C in the terminal does not end it before its turn."""
        tethered = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *self.command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                tethered,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                start_new_session=True,
            )
        self.started_at = time.monotonic()
        self._restart_at = None
        self._feed()

    def _feed(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(self.stdin)
            self._process.stdin.close()
        except BrokenPipeError:
            return  # it has died; `look_after` notices

    def look_after(self, report: Report) -> None:
        """Restart it after its back-off if it has died; cut its log. Raises GaveUp after too many quick deaths."""
        rotate_log(self.log)
        if self.is_running:
            if time.monotonic() - self.started_at > QUICK_DEATH_SECONDS:
                self._quick_deaths = 0
        elif self.has_finished:
            return
        elif self._restart_at is None:
            self._note_death(report)
        elif time.monotonic() >= self._restart_at:
            self.before_restart(self)
            self.start()
            report(f"{self.name} restarted (process {self.pid})")

    def _note_death(self, report: Report) -> None:
        assert self._process is not None
        self._end_session()
        if time.monotonic() - self.started_at <= QUICK_DEATH_SECONDS:
            self._quick_deaths += 1
        if self._quick_deaths >= MOST_QUICK_DEATHS:
            raise GaveUp(self)
        backoff = min(LONGEST_BACKOFF_SECONDS, self.backoff_seconds * 2**self._quick_deaths)
        self._restart_at = time.monotonic() + backoff
        report(f"{self.name} died ({_how(self._process.returncode)}); restarting it; log: {self.log}")

    def stop(self) -> None:
        """End it: SIGTERM, then SIGKILL after `stop_seconds`."""
        if self._process is None:
            return
        if self.is_running:
            self._process.terminate()
            try:
                self._process.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self._end_session()

    def kill(self) -> None:
        """End it and everything in its session now."""
        self._end_session()
        if self._process is not None:
            self._process.wait()

    def _end_session(self) -> None:
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # no process is left

    def last_lines(self, count: int = 15) -> list[str]:
        """The end of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 16_384))
                return file.read().decode(errors="replace").splitlines()[-count:]
        except OSError:
            return []


def _how(status: int | None) -> str:
    if status is not None and status < 0:
        try:
            return signal.Signals(-status).name
        except ValueError:
            return f"signal {-status}"
    return f"exit status {status}"
