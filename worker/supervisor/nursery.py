"""Starts the training processes: a new one for each attempt, forked from a server that has already imported Keras.

While a slot is free, one child is on standby (`worker.supervisor.standby`): it has reported that it is ready, and it
answers queries. A job is claimed only for such a child, so a worker whose children cannot start claims nothing.
"""

import logging
import multiprocessing
import os
import runpy
import threading
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess

from shared.problems import FitstopError
from shared.settings import Settings
from worker.ipc.exit_statuses import CPU_ONLY
from worker.ipc.kept_programs import KeptPrograms
from worker.machine.compiler import identify_compiler
from worker.supervisor import fork_server
from worker.supervisor.child import Child
from worker.supervisor.standby import PRELOAD, PROGRAM, stand_by

_GPU_CHECK = "worker.training.checks.gpu_check"
_WARM_UP_SECONDS = 120
# If a GPU is newer than TensorFlow's code, its driver compiles that code at the first use.
_FIRST_USE_SECONDS = 1800
_LOOK_SECONDS = 2
_ANSWER_SECONDS = 2
# A start that hangs must not delay the worker's end. Its children end with this process.
_END_SECONDS = 5.0
_TICK_SECONDS = 0.1
_MOST_TRIES = 6
_LONGEST_PAUSE_SECONDS = 15
# After this time without trouble the number of tries is zero again.
_WELL_SECONDS = 60

# Libraries read these variables when they are imported, so they are set before the fork server starts.
_ENVIRONMENT = {
    # A fork server with threads is not safe to fork. These are the threads of OpenBLAS, and of jemalloc in pyarrow.
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "KERAS_BACKEND": "tensorflow",
}

log = logging.getLogger(__name__)


class NoChildren(FitstopError):
    """No working training process can be started, so no job could run."""

    code = "no_children"


class Nursery:
    """Starts children by `forkserver` (tens of milliseconds) or `spawn` (seconds, since each child imports Keras).

    `sickness`: why no child is available, for people; empty if one is, or will be in a moment. A thread replaces
    broken children, after pauses of growing length. After six tries it is `is_beyond_help`.
    """

    def __init__(self, settings: Settings) -> None:
        os.environ.update(_ENVIRONMENT)
        self._slots = settings.slots
        self._start_seconds = settings.child_start_seconds
        self._programs = KeptPrograms(settings.cache, identify_compiler())
        self._context: ForkServerContext | SpawnContext = multiprocessing.get_context("spawn")
        if settings.child_start == "forkserver":
            self._context = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload([PRELOAD])
        self.sickness = ""
        self._changed = threading.Condition()
        self._ready: list[Child] = []
        self._taken = 0
        self._is_starting = self._is_overdue = False
        self._doubt = ""
        self._tries = 0
        self._well_since: float | None = None
        self._over = threading.Event()
        # The kernel kills a fork server, and a spawned child, when the thread that started it ends. This one stays.
        self._thread = threading.Thread(target=self._care, name="nursery", daemon=True)

    @property
    def child_start(self) -> str:
        """How children start: `forkserver` or `spawn`."""
        return "forkserver" if isinstance(self._context, ForkServerContext) else "spawn"

    @property
    def is_beyond_help(self) -> bool:
        """Whether only a restart of this worker can help."""
        return bool(self.sickness) and self._tries >= _MOST_TRIES

    def warm_up(self) -> None:
        """Start the first child, and wait until it has imported everything. Raises NoChildren."""
        self._ready.append(self._make())
        self._well_since = time.monotonic()

    def begin(self) -> None:
        """Start the thread that keeps a child ready."""
        self._thread.start()

    def end(self) -> None:
        """Stop: no more children are needed."""
        self._over.set()
        with self._changed:
            self._changed.notify_all()
        self._stop_server()
        until = time.monotonic() + _END_SECONDS
        while self._thread.is_alive() and time.monotonic() < until:
            # The thread may have started another server meanwhile.
            self._thread.join(_TICK_SECONDS)
            self._stop_server()
        if self._thread.is_alive():
            log.warning("the start of a training process hangs; this worker exits without waiting for it")
        self._discard_ready()

    def can_use_gpu(self) -> bool:
        """Whether a child can compute on the GPU; False with the CPU build of TensorFlow.

        If a forked child cannot and a new process can, all later children are new processes. Raises NoChildren if
        neither can, with the GPU build.
        """
        status = self._status_of(_check_gpu, _FIRST_USE_SECONDS)
        if status not in {0, CPU_ONLY} and isinstance(self._context, ForkServerContext):
            log.warning("a forked child cannot use the GPU; each job starts in a fresh process, some seconds later")
            self._discard_ready()
            self._context = multiprocessing.get_context("spawn")
            status = self._status_of(_check_gpu, _FIRST_USE_SECONDS)
        if status in {0, CPU_ONLY}:
            return status == 0
        raise NoChildren(
            f"a training process cannot use the GPU; `python -m {_GPU_CHECK}` shows why. To train on the CPU "
            "of this machine, set CUDA_VISIBLE_DEVICES=-1"
        )

    def _status_of(self, what: Callable[[], None], within_seconds: float) -> int | None:
        """Run `what` in a child, and return its exit status; None if it did not end in time."""
        probe = self._context.Process(target=what, name="trial")
        probe.start()
        probe.join(within_seconds)
        if probe.exitcode is None:
            probe.kill()
        return probe.exitcode

    def forget_programs(self) -> None:
        """Make the next children compile again, because a stored program may be the cause of a failure."""
        self._programs.forget()

    # For the slots

    def take(self, drain: threading.Event) -> Child | None:
        """Take a child that has just answered; None if there is none or `drain` is set. It counts until its `close`."""
        while not self.sickness and not drain.is_set():
            child = self._pop()
            if child is None:
                continue
            if child.answers(_ANSWER_SECONDS):
                return child
            child.close()
        return None

    def put_back(self, child: Child) -> None:
        """Return an unused child."""
        with self._changed:
            self._taken -= 1
            self._ready.append(child)
            self._changed.notify_all()

    def distrust(self, reason: str) -> None:
        """Provide no child until the fork server has been replaced and a new child is ready; `reason` says why."""
        with self._changed:
            self._doubt = self.sickness = reason
            self._changed.notify_all()

    def _pop(self) -> Child | None:
        with self._changed:
            if not self._ready:
                self._changed.wait(_TICK_SECONDS)
            if not self._ready or self.sickness:
                return None
            self._taken += 1
            return self._ready.pop()

    def _release(self) -> None:
        with self._changed:
            self._taken -= 1
            must_stop = self._is_overdue and not self._taken
            self._changed.notify_all()
        if must_stop:
            self._stop_server()

    # For the thread

    def _care(self) -> None:
        while not self._over.is_set():
            try:
                pause = self._look_after()
            except NoChildren as error:
                pause = self._fall_sick(str(error))
            except Exception as error:
                # The edge of a thread that must not end: any error means that there is no child.
                pause = self._fall_sick(f"no training process can be started: {type(error).__name__}: {error}")
            if pause:
                self._over.wait(pause)
                continue
            with self._changed:
                if self._ready or self._taken >= self._slots:
                    self._changed.wait(_LOOK_SECONDS)

    def _look_after(self) -> float:
        """Replace a child that does not answer; return the seconds to the next check."""
        if self._doubt and self._taken:
            return _LOOK_SECONDS
        if self._doubt:
            doubt, self._doubt = self._doubt, ""
            return self._fall_sick(doubt)
        self._discard_silent()
        if self._ready or self._taken >= self._slots:
            return 0
        self._offer(self._make())
        return 0

    def _offer(self, child: Child) -> None:
        """Offer a child that answers, unless `distrust` was called in the meantime."""
        with self._changed:
            self._ready.append(child)
            self.sickness = self._doubt
            self._well_since = self._well_since or time.monotonic()
            self._changed.notify_all()

    def _discard_silent(self) -> None:
        with self._changed:
            ready, self._ready = self._ready, []
        for child in ready:
            if child.answers(_ANSWER_SECONDS):
                self._offer(child)
            else:
                log.warning("process %s, which waited for a job, has disappeared or hangs", child.pid)
                child.discard()

    def _make(self) -> Child:
        """Start a child, and wait until it is ready. Raises NoChildren, or what `multiprocessing` raises."""
        limit = self._start_seconds if self._is_warm() else _WARM_UP_SECONDS
        child = self._start(limit)
        if child.is_ready(limit):
            return child
        child.discard()
        raise NoChildren(
            f"a training process does not come to importing {PRELOAD} in {limit:g} s, or fails in it; "
            f"`python -m {PROGRAM}` shows why"
        )

    def _is_warm(self) -> bool:
        """Whether a child starts at once. If the fork server has ended, the next start waits for a new server."""
        if not isinstance(self._context, ForkServerContext):
            return False
        if fork_server.is_running():
            return True
        fork_server.restore_socket_folder()
        if self._well_since is not None:
            self._note_trouble("its fork server has exited; another one starts")
        return False

    def _start(self, limit_seconds: float) -> Child:
        here, there = self._context.Pipe()
        is_forked = self.child_start == "forkserver"
        process = self._context.Process(target=stand_by, args=(there, is_forked), name="training")
        try:
            with there:
                self._start_within(limit_seconds, process)
        except BaseException:
            here.close()
            raise
        return Child(process, here, self._programs, self._release)

    def _start_within(self, limit_seconds: float, process: BaseProcess) -> None:
        """Start a process. A fork server that hangs is killed, which ends the wait for it; raises NoChildren then."""
        self._is_starting, self._is_overdue = True, False
        timer = threading.Timer(limit_seconds, self._give_up_start)
        timer.daemon = True
        timer.start()
        try:
            process.start()
        except EOFError:
            raise NoChildren(f"its fork server exits or hangs: no process starts within {limit_seconds:g} s") from None
        finally:
            timer.cancel()
            with self._changed:
                self._is_starting = self._is_overdue = False

    def _give_up_start(self) -> None:
        """Runs in its own thread. Kills the fork server once no child trains, because a child would end with it."""
        with self._changed:
            if not self._is_starting:
                return
            self.sickness, self._is_overdue = "its fork server hangs", True
            must_stop = not self._taken
        if must_stop:
            self._stop_server()

    def _fall_sick(self, reason: str) -> float:
        """Discard the ready children, and the fork server unless a child trains, which would end. Return a pause."""
        log.error("%s", reason)
        self._discard_ready()
        if self._taken:
            self.sickness = reason
            return _LOOK_SECONDS
        self._note_trouble(reason)
        self._stop_server()
        return min(2.0 ** (self._tries - 2), _LONGEST_PAUSE_SECONDS)

    def _note_trouble(self, reason: str) -> None:
        if self._well_since is not None and time.monotonic() - self._well_since > _WELL_SECONDS:
            self._tries = 0
        self._tries += 1
        self._well_since = None
        self.sickness = reason

    def _stop_server(self) -> None:
        if isinstance(self._context, ForkServerContext):
            fork_server.stop()

    def _discard_ready(self) -> None:
        with self._changed:
            ready, self._ready = self._ready, []
        for child in ready:
            child.discard()


def _check_gpu() -> None:
    """Runs in a child."""
    runpy.run_module(_GPU_CHECK, run_name="__main__", alter_sys=True)
