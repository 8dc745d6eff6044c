"""What happens if no child can be started: real fork servers and real children, without Keras's import."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing import forkserver, get_context, util
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from shared.settings import Settings
from shared.volume import Volume
from tests.support.waiting import wait_for
from tests.unit.shared.records import posted, taken
from worker.ipc.kept_programs import KeptPrograms
from worker.supervisor import fork_server
from worker.supervisor import nursery as module
from worker.supervisor.attempt import AttemptRun
from worker.supervisor.child import Child
from worker.supervisor.nursery import Nursery
from worker.supervisor.standby import _next_attempt, stand_by


def stands_by(pipe: Connection, _is_forked: bool) -> None:
    """Do as `worker.supervisor.standby` until an attempt comes, without importing anything."""
    _next_attempt(pipe)


@pytest.fixture
def nursery(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nursery]:
    monkeypatch.setattr(module, "_LONGEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(module, "stand_by", stands_by)
    fork_server.stop()
    nursery = Nursery(Settings(child_start_seconds=5))
    nursery._context.set_forkserver_preload(["json"])
    yield nursery
    nursery.end()


@pytest.fixture
def light_server() -> Iterator[None]:
    """A fork server that imports nothing, so that it starts at once."""
    fork_server.stop()
    forkserver.set_forkserver_preload(["json"])
    yield
    fork_server.stop()


def nothing() -> None:
    """A child that ends at once."""


def works() -> bool:
    process = get_context("forkserver").Process(target=nothing)
    process.start()
    process.join()
    return process.exitcode == 0


@pytest.mark.usefixtures("light_server")
def test_the_private_names_of_pythons_fork_server_are_there_and_mean_what_is_relied_on() -> None:
    assert not fork_server.is_running()
    assert works()
    assert fork_server.is_running()
    first = forkserver._forkserver._forkserver_pid
    os.kill(first, signal.SIGSTOP)
    fork_server.stop()
    assert not fork_server.is_running()
    shutil.rmtree(util.get_temp_dir())
    fork_server.restore_socket_folder()
    assert works()
    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
    wait_for(lambda: not fork_server.is_running(), saying="a server that was killed is seen without being collected")
    assert works(), "Python starts another one"
    shutil.rmtree(util.get_temp_dir())
    fork_server.stop()
    assert not fork_server.is_running()


def test_a_nursery_whose_preload_fails_says_so_and_is_beyond_help_after_six_tries(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "stand_by", stand_by)
    nursery.begin()
    wait_for(lambda: nursery.is_beyond_help, 60)
    assert "does not come to importing worker.training.preload" in nursery.sickness
    assert nursery.take(threading.Event()) is None


def test_children_in_doubt_are_replaced_with_their_fork_server_before_one_is_given_out_again(nursery: Nursery) -> None:
    drain = threading.Event()
    nursery.warm_up()
    nursery.begin()
    first = nursery.take(drain)
    assert first is not None
    server = forkserver._forkserver._forkserver_pid
    nursery.distrust("it did not begin")
    assert nursery.sickness == "it did not begin"
    assert nursery.take(drain) is None
    assert first.answers(5), "a child that trains keeps its fork server until it has ended"
    first.close()
    wait_for(lambda: not nursery.sickness, 60)
    second = nursery.take(drain)
    assert second is not None
    assert second.answers(5)
    assert forkserver._forkserver._forkserver_pid != server
    second.close()
    drain.set()
    assert nursery.take(drain) is None


def test_a_fork_server_that_hangs_is_replaced_and_the_end_of_a_child_that_it_does_not_report_is_seen(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    nursery._start_seconds = 1
    nursery.warm_up()
    child = nursery.take(threading.Event())
    assert child is not None
    assert child.pid is not None
    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGSTOP)
    os.kill(child.pid, signal.SIGKILL)
    monkeypatch.setattr("worker.supervisor.child._REPORT_SECONDS", 0.2)
    wait_for(lambda: child.newest_pulse() is None and child.has_ended(0), 10)
    assert child.exit_code() == -signal.SIGKILL
    nursery.begin()
    child.close()
    wait_for(lambda: nursery.sickness, 30, saying="no process starts in a second")
    wait_for(lambda: not nursery.sickness, 60)


def stands_by_until_it_has_a_job(pipe: Connection, _is_forked: bool) -> None:
    """Kill this process, like the system's out-of-memory killer, right after the order came."""
    _next_attempt(pipe)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_standby_that_is_killed_is_replaced_or_hands_its_job_back_which_counts_nothing(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch, volume: Volume
) -> None:
    monkeypatch.setattr(module, "stand_by", stands_by_until_it_has_a_job)
    drain = threading.Event()
    nursery.warm_up()
    nursery.begin()
    wait_for(lambda: nursery._ready, 30)
    idle = nursery._ready[0].pid
    assert idle is not None
    os.kill(idle, signal.SIGKILL)
    for is_killed_before_its_order in (False, True):
        child = wait_for(lambda: nursery.take(drain), 30)
        assert child.pid not in {idle, None}
        if is_killed_before_its_order:
            os.kill(child.pid, signal.SIGKILL)
        attempt = taken(posted(volume))
        AttemptRun(attempt, time.monotonic(), volume, Settings(), drain, ()).run(child)
        child.close()
        end = attempt.end()
        assert end is not None
        assert end.error is not None
        assert (end.outcome, end.is_failure, end.is_loss, end.error.code) == ("handed_back", False, False, "no_child")
    wait_for(lambda: nursery._ready, 30, saying="another one stands by")


def stands_by_and_hears_nothing(pipe: Connection) -> None:
    pipe.send(None)
    signal.pause()


def test_a_child_that_is_there_and_does_not_answer_is_not_given_a_job(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.3)
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=stands_by_and_hears_nothing, args=(there,))
    process.start()
    child = Child(process, here, KeptPrograms(Path(), None), nursery._release)
    assert child.is_ready(120)
    nursery._ready.append(child)
    drain = threading.Event()
    threading.Timer(1, drain.set).start()
    assert nursery.take(drain) is None
    child.close()
    assert nursery._taken == 0, "closed once, however often"
    with pytest.raises(ValueError, match="process object is closed"):
        process.join()


def test_a_child_whose_fork_server_is_killed_counts_as_killed_and_a_socket_folder_that_is_gone_is_made_again(
    nursery: Nursery,
) -> None:
    drain = threading.Event()
    nursery.warm_up()
    nursery.begin()
    child = nursery.take(drain)
    assert child is not None
    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
    wait_for(lambda: child.has_ended(0.1))
    assert child.exit_code() == -signal.SIGKILL
    shutil.rmtree(util.get_temp_dir())
    child.close()
    second = wait_for(lambda: nursery.take(drain), 30)
    shutil.rmtree(util.get_temp_dir())
    second.close()
    wait_for(lambda: nursery.sickness, 30, saying="no process can be started")
    third = wait_for(lambda: nursery.take(drain), 30)
    assert third.answers(5)
    third.close()
