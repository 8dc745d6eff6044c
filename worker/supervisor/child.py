"""One training process, as its worker sees it: it is on standby first, and then trains one attempt."""

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import MappingProxyType

from shared.job_folder import AttemptFolder
from worker.ipc import pulse
from worker.ipc.exit_statuses import SERVER_GONE
from worker.ipc.kept_programs import KeptPrograms

NOTHING: Mapping[str, str] = MappingProxyType({})
_STACKS_SECONDS = 3
# The process closes its pipe first, and may hold a GPU's memory for some seconds more.
_REPORT_SECONDS = 5
_DISCARD_SECONDS = 1
_TICK_SECONDS = 0.1


class Child:
    """A training process: on standby until `begin`, after which it trains one attempt.

    `on_close` is called once, when the process is released.
    """

    def __init__(
        self, process: BaseProcess, pipe: Connection, programs: KeptPrograms, on_close: Callable[[], None]
    ) -> None:
        self._process = process
        self._pipe = pipe
        self._programs = programs
        self._on_close = on_close
        self._handle = _open_handle(process.pid)
        self._has_hung_up = False
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def is_ready(self, within_seconds: float) -> bool:
        """Whether its next message comes in time. Time is counted in ticks, so a suspended machine loses only one."""
        try:
            ticks = max(1, round(within_seconds / _TICK_SECONDS))
            return any(self._pipe.poll(_TICK_SECONDS) for _ in range(ticks)) and self._pipe.recv() is None
        except (OSError, EOFError):
            return False

    def answers(self, within_seconds: float) -> bool:
        """Ask whether it is still ready."""
        try:
            self._pipe.send(None)
        except OSError:
            return False
        return self.is_ready(within_seconds)

    def begin(self, attempt: AttemptFolder, environment: Mapping[str, str] = NOTHING) -> None:
        """Make it train `attempt` with these environment variables. A child that has disappeared counts as ended."""
        with suppress(OSError):
            self._pipe.send((str(attempt.path), {**self._programs.environment(), **environment}))

    def newest_pulse(self) -> pulse.Pulse | None:
        """The last new pulse since the previous call."""
        try:
            return None if self._has_hung_up else pulse.newest(self._pipe)
        except EOFError:
            self._has_hung_up = True
            return None

    def has_ended(self, within_seconds: float) -> bool:
        """Wait for the child to end; True as soon as it has. A fork server that hangs does not report it."""
        return self._has_hung_up or bool(wait([self._process.sentinel], within_seconds))

    def ask_to_stop(self) -> None:
        """Send SIGTERM: the child saves the run, hands the job back, and ends."""
        self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    def kill_and_keep_stacks(self) -> None:
        """Send SIGABRT, on which the child writes the stack of every thread to its output, and then SIGKILL."""
        if self._process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGABRT)
        if not self.has_ended(_STACKS_SECONDS):
            self.kill()

    def exit_code(self) -> int | None:
        """Reap a child that has ended, and return its exit status, negative for a signal.

        The kernel kills a child with its fork server. If that hangs, the status is unknown and counts as killed.
        """
        if not wait([self._process.sentinel], _REPORT_SECONDS):
            self.kill()
            return -signal.SIGKILL
        self._process.join()
        if self._process.exitcode != SERVER_GONE:
            return self._process.exitcode
        self._see_it_end()
        return -signal.SIGKILL

    def _see_it_end(self) -> None:
        """Kill a child whose fork server has exited, and wait until it has ended.

        On a busy machine the children train for some time after the end of the fork server.
        """
        if self._handle is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            wait([self._handle], _REPORT_SECONDS)

    def close(self) -> None:
        """Release the process, and kill it if it still runs. A second call does nothing."""
        if not self._is_closed:
            self.discard()
            self._on_close()

    def discard(self) -> None:
        """Kill it and all its children, without `on_close`: for a child that no slot has taken."""
        self._is_closed = True
        self._pipe.close()
        self._process.kill()
        self._end_group()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        # If its fork server hangs, the process cannot be reaped now; `multiprocessing` does it later.
        if wait([self._process.sentinel], _DISCARD_SECONDS):
            self._process.join()
            self._process.close()

    def _end_group(self) -> None:
        """Kill the processes that a script has started and left. In the sandbox, none can leave the group."""
        if self._process.pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _open_handle(pid: int | None) -> int | None:
    """A pidfd of a process, which need not be a child of this one; None if the system has none, such as macOS."""
    if pid is None or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # it has ended already
        return None
