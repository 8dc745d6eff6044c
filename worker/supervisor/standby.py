"""A training process on standby: it imports what training needs, reports that it is ready, and waits for an attempt.

This module names the training program and never imports it: the worker's own process stays free of Keras.
"""

import faulthandler
import importlib
import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

from shared.job_folder import AttemptFolder
from shared.storage import classify_storage_error
from worker.ipc import pulse
from worker.ipc.bounded_output import BoundedOutput
from worker.ipc.die_with_parent import die_with_parent
from worker.ipc.exit_statuses import STATUS_OF_STORAGE

PROGRAM = "worker.training"
PRELOAD = "worker.training.preload"


def stand_by(pipe: Connection, is_forked: bool) -> None:  # noqa: FBT001  its arguments are pickled by place
    """Runs in a child: wait for an attempt, and then run as `python -m worker.training <attempt folder>` would.

    `pipe`: an empty message asks whether the child is ready, and it answers with one. `is_forked`: whether the child
    comes from a fork server, which does not report that its preload has failed, so the child checks that.
    """
    die_with_parent()
    # Ctrl-C reaches all processes of the terminal. Fork servers and children ignore it: the worker decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if is_forked and PRELOAD not in sys.modules:
        raise SystemExit(f"the fork server could not import {PRELOAD}")
    importlib.import_module(PRELOAD)
    train = importlib.import_module(f"{PROGRAM}.__main__").main
    folder, environment = _next_attempt(pipe)
    os.environ.update(environment)
    # The worker kills this group at the end, with all processes that a script has started.
    os.setpgid(0, 0)
    output = _print_into(AttemptFolder(Path(folder), int(Path(folder).name)))
    faulthandler.enable()
    pulse.send_to(pipe)
    try:
        raise SystemExit(train([folder], output.watch))
    finally:
        let_go_of_output()


def _next_attempt(pipe: Connection) -> tuple[str, dict[str, str]]:
    try:
        pipe.send(None)
        while (order := pipe.recv()) is None:
            pipe.send(None)
    except (EOFError, OSError):
        raise SystemExit(0) from None  # the worker needs no child any more
    folder, environment = order
    return folder, environment


def _print_into(attempt: AttemptFolder) -> BoundedOutput:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    try:
        return BoundedOutput(attempt.path)
    except OSError as error:
        traceback.print_exc()
        raise SystemExit(STATUS_OF_STORAGE[classify_storage_error(error, attempt.volume_root)]) from None


def let_go_of_output() -> None:
    """Drop output that a full volume does not take: writing it again at exit would change the exit status to 1."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except OSError:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123  for the rest of the process
