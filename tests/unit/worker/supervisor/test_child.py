"""How children are started, and what is proved before the first one trains.

A fresh process imports this module, so it imports nothing of TensorFlow.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import pytest

from shared.settings import Settings
from worker.ipc.exit_statuses import CPU_ONLY, STATUS_OF_STORAGE
from worker.ipc.kept_programs import KeptPrograms
from worker.supervisor import nursery as module
from worker.supervisor.child import Child
from worker.supervisor.nursery import NoChildren, Nursery
from worker.supervisor.standby import let_go_of_output

FORKED_MODULE = "worker.training.preload"


def works() -> None:
    """Act as a child that can use the GPU."""


def works_in_a_fresh_process() -> None:
    raise SystemExit(1 if FORKED_MODULE in sys.modules else 0)


def never_works() -> None:
    raise SystemExit(1)


def test_this_tensorflow_is_built_for_the_cpu_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    from worker.training.checks.gpu_check import main as check_gpu

    assert check_gpu() == CPU_ONLY
    assert "CPU build" in capsys.readouterr().err


def test_a_worker_with_such_a_tensorflow_trains_on_the_cpu() -> None:
    nursery = Nursery(Settings())
    nursery.warm_up()
    assert not nursery.can_use_gpu()
    assert nursery.child_start == "forkserver"


def test_where_a_forked_child_cannot_use_the_gpu_children_are_fresh_processes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nursery = Nursery(Settings())
    nursery.warm_up()
    monkeypatch.setattr(module, "_check_gpu", works_in_a_fresh_process)
    assert nursery.can_use_gpu()
    assert nursery.child_start == "spawn"
    assert "each job starts in a fresh process" in caplog.text


def test_forked_children_that_can_use_the_gpu_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    nursery = Nursery(Settings())
    monkeypatch.setattr(module, "_check_gpu", works)
    assert nursery.can_use_gpu()
    assert nursery.child_start == "forkserver"


def test_where_no_child_can_use_the_gpu_the_worker_does_not_start_and_says_how_to_fix_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nursery = Nursery(Settings(child_start="spawn"))
    monkeypatch.setattr(module, "_check_gpu", never_works)
    with pytest.raises(NoChildren, match="CUDA_VISIBLE_DEVICES=-1"):
        nursery.can_use_gpu()


def end_with_a_full_output() -> None:
    # Not the existing stream: this one keeps what it could not write, whatever PYTHONUNBUFFERED says.
    sys.stdout = Path("/dev/full").open("w")  # noqa: SIM115
    sys.stdout.write("what does not fit")
    try:
        raise SystemExit(STATUS_OF_STORAGE["volume_full"])
    finally:
        let_go_of_output()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_a_child_whose_output_does_not_fit_keeps_its_exit_status() -> None:
    process = multiprocessing.get_context("spawn").Process(target=end_with_a_full_output)
    process.start()
    process.join(60)
    assert process.exitcode == STATUS_OF_STORAGE["volume_full"]


def train_on() -> None:
    signal.pause()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux names a process that is no child of one's own")
def test_a_child_that_outlives_its_fork_server_is_gone_before_its_end_is_told() -> None:
    server: Any = forkserver.ForkServer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forkserver, "connect_to_new_process", server.connect_to_new_process)
        process = multiprocessing.get_context("forkserver").Process(target=train_on)
        process.start()
    mine, _ = multiprocessing.Pipe()
    child = Child(process, mine, None, lambda: None)  # type: ignore[arg-type]
    handle = os.pidfd_open(process.pid)
    os.kill(server._forkserver_pid, signal.SIGKILL)
    assert child.has_ended(10)
    assert child.exit_code() == -signal.SIGKILL
    assert wait([handle], 0), "it is still at work"
    os.close(handle)
    child.close()


def starts_a_process_in_a_group_of_its_own(pipe: Connection) -> None:
    os.setpgid(0, 0)
    pipe.send(subprocess.Popen(["sleep", "600"]).pid)
    signal.pause()


def test_what_a_child_has_started_in_its_group_ends_with_it() -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=starts_a_process_in_a_group_of_its_own, args=(there,))
    process.start()
    child = Child(process, here, KeptPrograms(Path(), None), lambda: None)
    started = os.pidfd_open(here.recv())
    child.close()
    assert wait([started], 10)
    os.close(started)
