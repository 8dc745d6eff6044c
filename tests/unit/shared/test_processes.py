"""Whether a process that wrote something has ended: decided only on its own machine, by more than its pid."""

import os
import subprocess
import sys

import pytest

from shared import processes
from shared.job import ProcessIdentity
from shared.processes import is_gone, this_process

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="judges by /proc")


@pytest.fixture
def other():
    """A process that lives until it is killed, and its identity."""
    code = "from shared.processes import this_process as one; print(one().model_dump_json(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process, ProcessIdentity.model_validate_json(process.stdout.readline())
        process.kill()


def test_a_process_knows_itself_and_is_there():
    here = this_process()
    assert here.pid == os.getpid()
    assert here == this_process()
    assert not is_gone(here)


def test_another_process_of_this_machine_is_there_until_it_ends_also_before_it_is_reaped(other):
    process, identity = other
    assert identity.machine == this_process().machine
    assert not is_gone(identity)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(identity), "a zombie does nothing any more"
    process.wait()
    assert is_gone(identity)


def test_a_pid_that_is_used_again_is_another_process(other):
    _, identity = other
    assert is_gone(identity.model_copy(update={"started": identity.started - 1}))


def test_nobody_is_judged_on_another_machine_or_in_another_namespace(other):
    process, identity = other
    process.kill()
    process.wait()
    assert not is_gone(identity.model_copy(update={"machine": "another boot/1/2"}))
    assert not is_gone(None)


def test_where_the_machine_does_not_say_enough_nobody_is_judged(other, monkeypatch, tmp_path):
    process, identity = other
    process.kill()
    process.wait()
    monkeypatch.setattr(processes, "_BOOT_ID", tmp_path / "absent")
    assert this_process() is None
    assert not is_gone(identity)


def test_the_processes_of_another_namespaces_proc_are_not_taken_for_ours(monkeypatch, tmp_path):
    (tmp_path / "self").symlink_to("1")
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    assert this_process() is None


def test_a_process_whose_start_cannot_be_read_is_there(other, monkeypatch):
    _, identity = other
    here = this_process()

    def hidden(_pid):
        raise FileNotFoundError

    monkeypatch.setattr(processes, "_facts", hidden)
    monkeypatch.setattr(processes, "this_process", lambda: here)
    assert not is_gone(identity.model_copy(update={"started": 0}))


@pytest.mark.parametrize(("dumpable", "said"), [(0, "refused"), (1, "read")])
def test_a_process_of_the_same_user_reads_the_environment_of_none_that_hides_its_memory(dumpable, said):
    program = f"""
import ctypes, os
from shared.processes import hide_memory
if os.getuid() == 0:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
hide_memory()
if {dumpable}:
    ctypes.CDLL(None).prctl(4, 1)
if os.fork() == 0:
    ctypes.CDLL(None).prctl(4, 1)
    try:
        open(f"/proc/{{os.getppid()}}/environ", "rb").read()
    except PermissionError:
        print("refused", flush=True)
    else:
        print("read", flush=True)
    os._exit(0)
os.wait()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said
