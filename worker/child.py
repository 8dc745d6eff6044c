"""The training child: a fresh process for each attempt, forked from a server that has imported Keras already.

This module names the training program and never imports it, so that the worker's own process stays free of Keras.
"""

import faulthandler
import logging
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from shared.job_folder import AttemptFolder
from shared.problems import FitstopError
from shared.settings import Settings
from shared.storage import EXIT_STATUS, classify_storage_error
from worker import pulse
from worker.die_with_parent import die_with_parent
from worker.kept_programs import KeptPrograms

_PROGRAM = "worker.training"
_PRELOAD = "worker.training.preload"
_GPU_CHECK = "worker.training.gpu_check"
_CPU_ONLY = 3
_WARM_UP_SECONDS = 120
# A GPU newer than TensorFlow's code has its driver compile that at first use.
_FIRST_USE_SECONDS = 1800
_STACKS_SECONDS = 3

# Read by libraries when they are imported, so set before the fork server starts.
_ENVIRONMENT = {
    # Threads would make the fork server unsafe to fork: OpenBLAS's, and that of the jemalloc inside pyarrow.
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "KERAS_BACKEND": "tensorflow",
}

log = logging.getLogger(__name__)


class NoChildren(FitstopError):
    """No training child can be started that works, so that no job could run."""

    code = "no_children"


class Nursery:
    """Where children come from: `forkserver` (tens of milliseconds) or `spawn` (the seconds of Keras's import)."""

    def __init__(self, settings: Settings) -> None:
        os.environ.update(_ENVIRONMENT)
        self._programs = KeptPrograms()
        self._context: ForkServerContext | SpawnContext = multiprocessing.get_context("spawn")
        if settings.child_start == "forkserver":
            self._context = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload([_PRELOAD])

    @property
    def child_start(self) -> str:
        """How children start: `forkserver` or `spawn`."""
        return "forkserver" if isinstance(self._context, ForkServerContext) else "spawn"

    def warm_up(self) -> None:
        """Start the fork server and wait until it has imported everything. Raises NoChildren.

        A preload that fails is silent in Python's own fork server, so a first child looks for itself.
        """
        if isinstance(self._context, ForkServerContext) and self._status_of(_look_around) != 0:
            raise NoChildren(
                f"the fork server could not import {_PRELOAD}; `python -m {_PROGRAM}` by hand shows why, and "
                "FITSTOP_CHILD_START=spawn does without it"
            )

    def can_use_gpu(self) -> bool:
        """Whether a child computes on the GPU; False where this TensorFlow is built for the CPU alone.

        Where a forked child cannot and a fresh process can, children are fresh from now on. Raises NoChildren where
        neither can, though this TensorFlow should.
        """
        status = self._status_of(_check_gpu, _FIRST_USE_SECONDS)
        if status not in {0, _CPU_ONLY} and isinstance(self._context, ForkServerContext):
            log.warning("a forked child cannot use the GPU; each job starts in a fresh process, some seconds later")
            self._context = multiprocessing.get_context("spawn")
            status = self._status_of(_check_gpu, _FIRST_USE_SECONDS)
        if status in {0, _CPU_ONLY}:
            return status == 0
        raise NoChildren(
            f"a training process cannot use the GPU; `python -m {_GPU_CHECK}` by hand shows why. To train on the CPU "
            "of this machine, set CUDA_VISIBLE_DEVICES=-1"
        )

    def _status_of(self, what: Callable[[], None], within_seconds: float = _WARM_UP_SECONDS) -> int | None:
        """How a child ended that did only this; None where it did not end."""
        probe = self._context.Process(target=what, name="warm-up")
        probe.start()
        probe.join(within_seconds)
        if probe.exitcode is None:
            probe.kill()
        return probe.exitcode

    def forget_programs(self) -> None:
        """Have the next children compile anew, after one that failed: a kept program may be at fault."""
        self._programs.forget()

    def start(self, attempt: AttemptFolder) -> "Child":
        """Start the training program for `attempt`."""
        receiver, sender = self._context.Pipe(duplex=False)
        with sender:
            process = self._context.Process(
                target=_become_training,
                args=(str(attempt.path), str(attempt.output_file), self._programs.environment(), sender),
                name=f"training of {attempt.job.id}",
            )
            process.start()
        return Child(process, receiver)


class Child:
    """One training process."""

    def __init__(self, process: BaseProcess, pulses: Connection) -> None:
        self._process = process
        self._pulses = pulses

    def newest_pulse(self) -> pulse.Pulse | None:
        """The last pulse that has come since this was asked last."""
        return pulse.newest(self._pulses)

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def has_ended(self, within_seconds: float) -> bool:
        """Wait so long for the child to end; True as soon as it has."""
        return bool(wait([self._process.sentinel], within_seconds))

    def ask_to_stop(self) -> None:
        """SIGTERM: save, hand the job back, end."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def kill_and_keep_stacks(self) -> None:
        """SIGABRT, upon which the child writes every thread's stack into its output; then SIGKILL."""
        if self._process.pid is not None:
            os.kill(self._process.pid, signal.SIGABRT)
        if not self.has_ended(_STACKS_SECONDS):
            self.kill()

    def exit_code(self) -> int | None:
        """The status of a child that has ended, negative for a signal; reaps it."""
        self._process.join()
        return self._process.exitcode

    def close(self) -> None:
        """Let go of the process's pipes."""
        self._pulses.close()
        self._process.close()


def _look_around() -> None:
    """Runs in a child: whether the fork server had imported the training program before it forked."""
    raise SystemExit(0 if "worker.training.run" in sys.modules else 1)


def _check_gpu() -> None:
    """Runs in a child."""
    runpy.run_module(_GPU_CHECK, run_name="__main__", alter_sys=True)


def _become_training(attempt_folder: str, output_file: str, environment: dict[str, str], pulses: Connection) -> None:
    """Runs in a child: be what `python -m worker.training <attempt folder>` would be."""
    die_with_parent()
    _end_without_worker()
    os.environ.update(environment)
    try:
        _print_into(Path(output_file))
    except OSError as error:
        raise SystemExit(EXIT_STATUS[classify_storage_error(error, Path(attempt_folder).parents[4])]) from None
    faulthandler.enable()
    pulse.send_to(pulses)
    # A fork server ignores SIGINT and the worker's Ctrl-C reaches the whole terminal group: the worker decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.argv = [_PROGRAM, attempt_folder]
    try:
        runpy.run_module(_PROGRAM, run_name="__main__", alter_sys=True)
    finally:
        _let_go_of_output()


def _let_go_of_output() -> None:
    """Drop what a full volume does not take: else writing it again at the exit would replace the exit status by 1."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except OSError:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123  for the rest of the process


def _end_without_worker() -> None:
    """End where the worker ended before this process had asked to die with it: nobody must train for nobody."""
    worker = multiprocessing.parent_process()
    if worker is not None and not worker.is_alive():
        os._exit(1)


def _print_into(output_file: Path) -> None:
    descriptor = os.open(output_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(descriptor, stream.fileno())
    os.close(descriptor)
