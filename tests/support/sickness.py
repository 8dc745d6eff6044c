"""Faults of a real worker and its machine, and how to remove them."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.worker_process import WorkerProcess, descendants

# Loaded by each Python that has this folder on its path. It simulates a kernel that cannot fork.
_NO_FORK = """
import os, pathlib

def fork(kernels_own=os.fork, flag=pathlib.Path(__file__).with_name("no-fork")):
    if flag.exists():
        raise OSError({number}, os.strerror({number}))
    return kernels_own()

os.fork = fork
"""
_BROKEN_LIBRARY = "raise ImportError('half of the upgrade')\n"


@dataclass
class Machine:
    """A worker's own part of a machine: the first folder on its Python's path, and one for its temporary files."""

    root: Path
    worker: WorkerProcess | None = None
    undo: list[Callable[[], None]] = field(default_factory=list)
    frozen: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.modules, self.temporary = self.root / "modules", self.root / "temporary"
        self.modules.mkdir(parents=True)
        self.temporary.mkdir()
        (self.modules / "sitecustomize.py").write_text(_NO_FORK.format(number=errno.ENOMEM))

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.modules), "TMPDIR": str(self.temporary)}

    def fork_server(self) -> int | None:
        """The process id of the fork server; None if there is none."""
        assert self.worker is not None
        for pid in descendants(self.worker.pid):
            with suppress(OSError):
                if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        return None

    def signal_fork_server(self, number: signal.Signals) -> None:
        server = self.fork_server()
        if server is not None:
            with suppress(ProcessLookupError):
                os.kill(server, number)

    def kill_what_is_frozen(self) -> None:
        """Kill frozen children: one that was frozen before it called `die_with_parent` would stay for ever."""
        for pid in self.frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def cure(self) -> None:
        """Remove the faults. The worker recovers by itself."""
        while self.undo:
            self.undo.pop()()


def kill_the_fork_server(machine: Machine) -> None:
    machine.signal_fork_server(signal.SIGKILL)


def kill_each_fork_server(machine: Machine) -> None:
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.2):
            machine.signal_fork_server(signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    machine.undo += [thread.join, over.set]


def freeze_the_fork_server(machine: Machine) -> None:
    machine.signal_fork_server(signal.SIGSTOP)


def freeze_the_child_that_stands_by(machine: Machine) -> None:
    _signal_the_child_that_stands_by(machine, signal.SIGSTOP)


def remove_the_socket_folder(machine: Machine) -> None:
    for folder in machine.temporary.glob("pymp-*"):
        shutil.rmtree(folder)


def break_a_library(machine: Machine) -> None:
    """Break Keras for new processes, as an upgrade can, and kill the fork server, so that a new one starts."""
    broken = machine.modules / "keras.py"
    broken.write_text(_BROKEN_LIBRARY)
    machine.undo.append(broken.unlink)
    machine.signal_fork_server(signal.SIGKILL)


def fill_the_local_disk(machine: Machine) -> None:
    """Fill the folder of temporary files. Raises CalledProcessError without the right to mount."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(machine.temporary)], capture_output=True, check=True
    )
    machine.undo.append(lambda: subprocess.run(["umount", "-l", str(machine.temporary)], check=True) and None)
    with suppress(OSError), (machine.temporary / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65_536))


def use_up_the_file_descriptors(machine: Machine) -> None:
    assert machine.worker is not None
    for pid in filter(None, (machine.worker.pid, machine.fork_server())):
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        held = max(int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir()) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (held, before[1]))
        machine.undo.append(lambda pid=pid, before=before: _restore_limit(pid, before))


def refuse_to_fork(machine: Machine) -> None:
    flag = machine.modules / "no-fork"
    flag.touch()
    machine.undo.append(flag.unlink)
    kill_the_child_that_stands_by(machine)


def kill_the_child_that_stands_by(machine: Machine) -> None:
    _signal_the_child_that_stands_by(machine, signal.SIGKILL)


WAYS: dict[str, Callable[[Machine], None]] = {
    "the fork server is killed": kill_the_fork_server,
    "each fork server is killed": kill_each_fork_server,
    "the fork server is frozen": freeze_the_fork_server,
    "the socket folder is removed": remove_the_socket_folder,
    "a library is broken by an upgrade": break_a_library,
    "the local disk is full": fill_the_local_disk,
    "no file descriptor is left": use_up_the_file_descriptors,
    "no process can be forked": refuse_to_fork,
}


def _signal_the_child_that_stands_by(machine: Machine, number: signal.Signals) -> None:
    assert machine.worker is not None
    server = machine.fork_server()
    for pid in descendants(machine.worker.pid):
        if server in _parents(pid):
            os.kill(pid, number)
            if number == signal.SIGSTOP:
                machine.frozen.append(pid)


def _parents(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])]
    return []


def _restore_limit(pid: int, limit: tuple[int, int]) -> None:
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
