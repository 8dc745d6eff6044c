"""One world's time, machines and processes. Real code runs in greenlets, one at a time, in the order of its seed.

Time is a number. It goes on only where a task waits or where a file operation takes its time, so that 30 s of silence
cost nothing. A machine's own clocks start anywhere and run a little fast or slow.
"""

import heapq
import itertools
import traceback
from collections.abc import Callable
from random import Random
from typing import Any

from greenlet import greenlet

Act = Callable[[], None]

# The wall clock's reading at the world's beginning: 2026-11-24T00:00:00Z.
_EPOCH = 1_795_478_400.0


class Killed(BaseException):
    """The process is dead: what a `finally` or an `except` still tries to do on the way out does not happen."""


class Machine:
    """Where processes run: clocks of its own, and its own way to the volume.

    `offset` and `rate`: the monotonic clock reads offset + rate * time. `wall_error`: seconds by which the wall clock
    is ahead. Until `hangs_until` no file operation ends; until `fails_until` none that changes anything succeeds.
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
    """Tasks that live, freeze and die together; `children` die with it (PR_SET_PDEATHSIG), but for one that
    `is_orphan`: it asked too late, and ends by its heartbeat watchdog alone.
    """

    def __init__(self, name: str, machine: Machine) -> None:
        self.name = name
        self.machine = machine
        machine.processes.append(self)
        self.pid = len(machine.processes)
        self.is_orphan = False
        # Whether its folder stands for a bucket, as it does for everybody but a training process.
        self.has_bucket = False
        self.is_alive = True
        self.is_frozen = False
        self.thaws = 0
        self.exit_code: int | None = None
        self.ended = Signal()
        self.tasks: list[Task] = []
        self.parked: list[Task] = []
        self.children: list[Process] = []
        # What happens to it at which of its next file operations.
        self.armed: list[tuple[int, Act]] = []
        self.operations = 0
        self.drain: Act = lambda: None

    def arm(self, operations: int, act: Act) -> None:
        """`act` just before the process's so-manieth file operation from now, from 1."""
        self.armed.append((self.operations + operations, act))

    def due(self) -> list[Act]:
        """What is to happen before the file operation that comes now."""
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
    """The scheduler: whose moment comes first goes on first; `chance` decides where moments are equal."""

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
        """A new task of a process, from now on."""
        task = Task(process, greenlet(self._guarded, self._hub), lambda: run(*arguments))
        process.tasks.append(task)
        self._wake(task, self.now)
        return task

    def at(self, moment: float, act: Act) -> None:
        """`act` at a moment, outside every process; it must not wait."""
        heapq.heappush(self._agenda, (moment, self.chance.random(), next(self._order), None, act))

    def go_on_while(self, condition: Callable[[], bool]) -> None:
        """Let time go on."""
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
        """SIGKILL, also to its children."""
        if not process.is_alive:
            return
        self._end(process, code)
        self._dead += process.tasks
        for child in process.children:
            if not child.is_orphan:
                self.kill(child)

    def freeze(self, process: Process, seconds: float) -> None:
        """SIGSTOP, and SIGCONT so many seconds later."""
        if process.is_alive and not process.is_frozen:
            process.is_frozen = True
            self.at(self.now + seconds, lambda: self._thaw(process))

    def token(self, _bytes: int) -> str:
        """In the place of `secrets.token_hex`."""
        return f"{next(self._tokens):012x}"

    # For the tasks

    def pause(self, seconds: float) -> None:
        """The current task goes on so many seconds later."""
        task = self._living()
        moment = self.now + seconds
        if self._agenda and self._agenda[0][0] <= moment:
            self._wake(task, moment)
            self._yield(task)
        else:
            self.now = moment

    def wait(self, signal: Signal, seconds: float | None) -> None:
        """Until the signal is fired, or for so many seconds."""
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
        """Wake everybody who waits for the signal."""
        waiting, signal.waiting = signal.waiting, []
        for task in waiting:
            self._wake(task, self.now)

    def stop_here_if_it_must(self) -> None:
        """Raise Killed in a task whose process has died by its own doing; stand still in one that is frozen."""
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
        """How long so many seconds by the current machine's clock are."""
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
        except BaseException:  # the world's edge: what nobody foresaw is told with the seed
            self.troubles.append(f"{task.process.name} raised\n{traceback.format_exc()}")
        task.is_done = True
        self.fire(task.done)

    def _end(self, process: Process, code: int) -> None:
        process.is_alive = False
        process.exit_code = code
        self.fire(process.ended)

    def exit(self, process: Process, code: int) -> None:
        """The process ends by itself; its other tasks end with it."""
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
        """Unwind the tasks of dead processes; none of their file operations happen any more."""
        while self._dead:
            task = self._dead.pop()
            if task.work is None and not task.is_done:
                self.current = task
                task.run.throw(Killed)
                self.current = None
            task.is_done = True
