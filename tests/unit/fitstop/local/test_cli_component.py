import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from fitstop.local.component import Component, GaveUp, rotate_log
from tests.support.waiting import wait_for


@pytest.fixture
def component(tmp_path):
    made = []

    def make(script, **options):
        command = [sys.executable, "-c", textwrap.dedent(script)]
        made.append(Component("it", command, {"PATH": os.environ["PATH"]}, tmp_path / "it.log", **options))
        return made[-1]

    yield make
    for one in made:
        one.kill()


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_reads_its_stdin_writes_its_log_and_ends_at_a_sigterm(component):
    one = component(
        "import sys; print(sys.stdin.read(), flush=True); import time; time.sleep(60)", stop_seconds=10, stdin=b"hello"
    )
    one.start()
    wait_for(lambda: one.last_lines() == ["hello", ""] or one.last_lines() == ["hello"], 10)
    assert os.getsid(one.pid) == one.pid
    one.stop()
    assert not one.is_running


def test_what_does_not_end_in_time_is_killed_with_its_children(component):
    one = component(
        """
        import signal, subprocess, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(subprocess.Popen(["sleep", "60"]).pid, flush=True)
        time.sleep(60)
        """,
        stop_seconds=0.2,
    )
    one.start()
    child = int(wait_for(one.last_lines, 10)[0])
    one.stop()
    assert not one.is_running
    wait_for(lambda: not alive(child), 10)


def test_what_dies_is_started_again_and_said_so(component):
    one = component("import time; time.sleep(60)", stop_seconds=5)
    said = []
    one.start()
    first = one.pid
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: one.look_after(said.append) or (one.is_running and one.pid != first), 20)
    assert "it died (SIGKILL)" in said[0]
    assert said[1].startswith("it restarted")


def test_what_dies_again_and_again_is_given_up_with_the_end_of_its_log(component):
    one = component("raise SystemExit('no such thing')", stop_seconds=5, backoff_seconds=0.01)
    one.start()
    with pytest.raises(GaveUp) as caught:
        wait_for(lambda: one.look_after(lambda text: None), 60)
    assert caught.value.last_lines == ["no such thing"] * 5
    assert "died 5 times" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_it_dies_with_its_parent_even_by_a_kill(tmp_path):
    script = f"""
        import time
        from pathlib import Path
        from fitstop.local.component import Component
        one = Component("it", ["sleep", "60"], {{"PATH": "/bin:/usr/bin"}}, Path({str(tmp_path / "log")!r}), 5)
        one.start()
        print(one.pid, flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        wait_for(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", 10)
        parent.kill()
    wait_for(lambda: not alive(pid), 10)


@pytest.mark.parametrize(("status", "is_over"), [(0, True), (1, False)])
def test_one_that_may_finish_is_started_again_only_after_a_failure(tmp_path, status, is_over):
    command = [sys.executable, "-c", f"raise SystemExit({status})"]
    component = Component("it", command, {}, tmp_path / "log", stop_seconds=1, may_finish=True)
    said = []
    component.start()
    wait_for(lambda: not component.is_running)
    component.look_after(said.append)
    assert component.has_finished == is_over
    assert bool(said) != is_over


def test_a_log_that_has_grown_long_is_cut_and_its_process_goes_on_writing(tmp_path):
    log = tmp_path / "api.log"
    with log.open("ab", buffering=0) as file:
        file.write(b"old\n" * 100)
        rotate_log(log, 399)
        file.write(b"new\n")
        rotate_log(log, 399)
    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "api.log.1").read_bytes() == b"old\n" * 100
