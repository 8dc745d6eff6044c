"""The time, machines and processes of one world. Real code runs in greenlets, one at a time, in the order of its seed.

Time is a number. It advances only if a task waits or a file operation takes time, so that 30 s of silence cost nothing.
A machine's own clocks start anywhere and run a little fast or slow.
"""

import heapq
import itertools
import traceback
from collections.abc import Callable
from random import Random
from typing import Any

from greenlet import greenlet

Act = Callable[[], None]

# The time on the wall clock when the world begins: 2026-11-24T00:00:00Z.
_EPOCH = 1_795_478_400.0


class Killed(BaseException):
    """The process is dead: what a `finally` or an `except` still tries to do does not happen."""


class Machine:
    """Runs processes, with its own clocks and its own access to the volume.

    `offset` and `rate`: the monotonic clock reads offset + rate * time. `wall_error`: seconds by which the wall clock
    is ahead. Until `hangs_until` no file operation ends; until `fails_until` no operation that changes a file succeeds.
    """

    def __init__(self, name: str, chance: Random) -> None:
        self.name = name
        self.offset = chance.uniform(0, 1e6)
        self.rate = chance.uniform(0.98, 1.02)
        self.wall_error = chance.choice([0.0, chance.uniform(-1, 1), chance.uniform(-7200, 7200)])
        self.hangs_until = 0.0
        self.fails_until = 0.0
        self.processes: list[Process] = []


class Signal:
    """Something that tasks wait for."""

    def __init__(self) -> None:
        self.waiting: list[Task] = []


class Process:
    """Tasks that live, freeze and die together. `children` die with it (PR_SET_PDEATHSIG), except one that `is_orphan`:
    it asked too late, and ends only by its heartbeat watchdog.
    """

    def __init__(self, name: str, machine: Machine) -> None:
        self.name = name
        self.machine = machine
        machine.processes.append(self)
        self.pid = len(machine.processes)
        self.is_orphan = False
        # Whether its folder stands for a bucket, as for every process except a training process.
        self.has_bucket = False
        self.is_alive = True
        self.is_frozen = False
        self.thaws = 0
        self.exit_code: int | None = None
        self.ended = Signal()
        self.tasks: list[Task] = []
        self.parked: list[Task] = []
        self.children: list[Process] = []
        # What happens to it, with the number of the file operation before which it happens.
        self.armed: list[tuple[int, Act]] = []
        self.operations = 0
        self.drain: Act = lambda: None

    def arm(self, operations: int, act: Act) -> None:
        """Call `act` just before the process's file operation with this number, counted from now and from 1."""
        self.armed.append((self.operations + operations, act))

    def due(self) -> list[Act]:
        """Return what happens before the file operation that comes now."""
        self.operations += 1
        due = [act for operation, act in self.armed if operation <= self.operations]
        self.armed = [one for one in self.armed if one[0] > self.operations]
        return due


class Task:
    """One thread of a process. A wake-up counts only with the newest `ticket`."""

    def __init__(self, process: Process, run: greenlet, work: Act) -> None:
        self.process = process
        self.run = run
        self.work: Act | None = work
        self.ticket = 0
        self.is_done = False
        self.done = Signal()


class Kernel:
    """The scheduler: the task with the earliest moment runs first; `chance` decides between equal moments."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.now = 0.0
        self.current: Task | None = None
        self.troubles: list[str] = []
        self._hub = greenlet.getcurrent()
        self._agenda: list[tuple[float, float, int, Task | None, Any]] = []
        self._order = itertools.count()
        self._tokens = itertools.count()
        self._dead: list[Task] = []

    # For the world

    def begin(self, process: Process, run: Callable[..., Any], *arguments: Any) -> Task:
        """Start a new task of a process now."""
        task = Task(process, greenlet(self._guarded, self._hub), lambda: run(*arguments))
        process.tasks.append(task)
        self._wake(task, self.now)
        return task

    def at(self, moment: float, act: Act) -> None:
        """Call `act` at a moment, outside every process. It must not wait."""
        heapq.heappush(self._agenda, (moment, self.chance.random(), next(self._order), None, act))

    def go_on_while(self, condition: Callable[[], bool]) -> None:
        """Advance time while `condition` holds."""
        while self._agenda and condition():
            moment, _, _, task, what = heapq.heappop(self._agenda)
            if task is None:
                self.now = moment
                what()
            elif what == task.ticket and task.process.is_alive and not task.is_done:
                if task.process.is_frozen:
                    task.process.parked.append(task)
                    continue
                self.now = moment
                self._switch_to(task)
            self.bury()

    def kill(self, process: Process, code: int = -9) -> None:
        """Kill a process (SIGKILL) and its children, except orphans."""
        if not process.is_alive:
            return
        self._end(process, code)
        self._dead += process.tasks
        for child in process.children:
            if not child.is_orphan:
                self.kill(child)

    def freeze(self, process: Process, seconds: float) -> None:
        """Stop a process (SIGSTOP), and continue it (SIGCONT) after `seconds`."""
        if process.is_alive and not process.is_frozen:
            process.is_frozen = True
            self.at(self.now + seconds, lambda: self._thaw(process))

    def token(self, _bytes: int) -> str:
        """Return a token, in place of `secrets.token_hex`."""
        return f"{next(self._tokens):012x}"

    # For the tasks

    def pause(self, seconds: float) -> None:
        """Continue the current task after `seconds`."""
        task = self._living()
        moment = self.now + seconds
        if self._agenda and self._agenda[0][0] <= moment:
            self._wake(task, moment)
            self._yield(task)
        else:
            self.now = moment

    def wait(self, signal: Signal, seconds: float | None) -> None:
        """Wait until the signal is fired, or until `seconds` have passed."""
        task = self._living()
        signal.waiting.append(task)
        if seconds is None:
            task.ticket += 1
        else:
            self._wake(task, self.now + max(0.0, seconds))
        self._yield(task)
        if task in signal.waiting:
            signal.waiting.remove(task)

    def fire(self, signal: Signal) -> None:
        """Wake every task that waits for the signal."""
        waiting, signal.waiting = signal.waiting, []
        for task in waiting:
            self._wake(task, self.now)

    def stop_here_if_it_must(self) -> None:
        """Raise Killed if the current task's process has died; wait if it is frozen."""
        task = self._living()
        if task.process.is_frozen:
            self._wake(task, self.now)
            self._yield(task)

    # The machine's clocks, as the current task reads them

    def monotonic(self) -> float:
        machine = self._machine()
        return machine.offset + machine.rate * self.now

    def sleep(self, seconds: float) -> None:
        self.pause(max(0.0, seconds) / self._machine().rate)

    def wall(self) -> float:
        """Seconds since 1970."""
        return _EPOCH + self.now + self._machine().wall_error

    def true_seconds(self, seconds: float | None) -> float | None:
        """Convert seconds on the current machine's clock to seconds of the world."""
        return None if seconds is None else seconds / self._machine().rate

    def _living(self) -> Task:
        task = self.current
        assert task is not None
        if not task.process.is_alive:
            raise Killed
        return task

    def _machine(self) -> Machine:
        assert self.current is not None
        return self.current.process.machine

    def _wake(self, task: Task, moment: float) -> None:
        task.ticket += 1
        heapq.heappush(self._agenda, (moment, self.chance.random(), next(self._order), task, task.ticket))

    def _yield(self, task: Task) -> None:
        self._hub.switch()
        self.current = task

    def _switch_to(self, task: Task) -> None:
        self.current = task
        if task.work is None:
            task.run.switch()
        else:
            work, task.work = task.work, None
            task.run.switch(task, work)
        self.current = None

    def _guarded(self, task: Task, work: Act) -> None:
        try:
            work()
        except Killed:
            pass
        except BaseException:  # the edge of the world: an unexpected error is reported with the seed
            self.troubles.append(f"{task.process.name} raised\n{traceback.format_exc()}")
        task.is_done = True
        self.fire(task.done)

    def _end(self, process: Process, code: int) -> None:
        process.is_alive = False
        process.exit_code = code
        self.fire(process.ended)

    def exit(self, process: Process, code: int) -> None:
        """End a process by its own exit, together with its other tasks."""
        if process.is_alive:
            self._end(process, code)
            self._dead += [task for task in process.tasks if task is not self.current]

    def _thaw(self, process: Process) -> None:
        process.is_frozen = False
        process.thaws += 1
        parked, process.parked = process.parked, []
        for task in parked:
            self._wake(task, self.now)

    def bury(self) -> None:
        """Unwind the tasks of dead processes. Their file operations no longer happen."""
        while self._dead:
            task = self._dead.pop()
            if task.work is None and not task.is_done:
                self.current = task
                task.run.throw(Killed)
                self.current = None
            task.is_done = True
