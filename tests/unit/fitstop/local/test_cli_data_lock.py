"""Only one `up` for each data folder, also on filesystems without locks."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys

import pytest

from fitstop.local.data_lock import DataLock
from fitstop.local.ports import StackError


@pytest.fixture(params=[None, errno.ENOLCK, errno.EOPNOTSUPP], ids=["locks", "ENOLCK", "EOPNOTSUPP"])
def kind(request, monkeypatch):
    if request.param is not None:

        def refuse(*_arguments):
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(fcntl, "flock", refuse)
    return request.param


def test_a_folder_is_held_once_and_free_again_after_its_release(kind, tmp_path):
    first, second = DataLock(tmp_path), DataLock(tmp_path)
    first.take()
    with pytest.raises(StackError, match="another `fitstop up`"):
        second.take()
    second.release()
    with pytest.raises(StackError, match="another `fitstop up`"):
        DataLock(tmp_path).take()
    first.release()
    second.take()
    second.release()
    assert [entry.name for entry in tmp_path.iterdir()] == [".lock"]


@pytest.fixture
def no_locks(monkeypatch):
    def refuse(*_arguments):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)


def write_owner(folder, **changes):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    owner = {"host": socket.gethostname(), "pid": ended.pid, "started": "1", **changes}
    (folder / ".lock.owner").write_text(json.dumps(owner))


@pytest.mark.parametrize("changes", [{}, {"started": None}, {"pid": os.getpid()}], ids=["ended", "no proc", "reused"])
def test_the_file_of_a_process_that_has_ended_is_taken_over(no_locks, tmp_path, changes):
    write_owner(tmp_path, **changes)
    lock = DataLock(tmp_path)
    lock.take()
    assert json.loads((tmp_path / ".lock.owner").read_text())["pid"] == os.getpid()
    lock.release()


def test_a_holder_on_another_host_and_a_file_in_the_making_are_respected_and_named(no_locks, tmp_path):
    write_owner(tmp_path, host="elsewhere")
    with pytest.raises(StackError, match=r"process \d+ on elsewhere\. If it no longer runs, remove .*\.lock\.owner"):
        DataLock(tmp_path).take()
    (tmp_path / ".lock.owner").write_text("")
    with pytest.raises(StackError, match="it is starting"):
        DataLock(tmp_path).take()
