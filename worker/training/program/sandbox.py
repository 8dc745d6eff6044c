"""The sandbox of a program, between a user's script and everything else.

The training process enters it once, after Keras has been imported and before the script's first line, and cannot leave
it. The layers overlap on purpose. Each layer that the kernel lacks is reported; a script runs only if other layers
replace it.

A script can still use the processor, the GPU, this process's memory and pipe, and everything in `Sandbox.write`,
including the evidence of its own attempt. So it can falsify its own reports, but no others.

`python -m worker.training.program.sandbox FOLDER` tests the sandbox with an empty folder and prints a JSON report.
"""

import json
import os
import resource
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from shared.child_environment import leave_for_training
from shared.settings import AllowCode
from worker.ipc.die_with_parent import die_with_parent
from worker.training.errors import TrainingError
from worker.training.program import landlock, seccomp
from worker.training.program.kernel import (
    PR_SET_NO_NEW_PRIVS,
    NotGiven,
    keep_capabilities,
    permitted_capabilities,
    prctl,
)
from worker.training.program.own_user import become_own_user

_OPEN_FILES = 65_536
_PROCESSES = 4096
_FILE_BYTES = 64 * 1024**3

# What Python, TensorFlow and CUDA read. Not /etc as a whole: no passwords, no host keys.
_SYSTEM = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt/cuda", "/sys", "/proc/cpuinfo", "/proc/meminfo"),
    *("/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/version", "/proc/filesystems", "/proc/devices"),
    *("/proc/modules", "/proc/sys", "/proc/driver/nvidia", "/proc/driver/nvidia-uvm", "/dev/urandom", "/dev/random"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone"),
    *("/etc/nsswitch.conf", "/etc/mime.types", "/etc/fonts", "/etc/OpenCL", "/etc/vulkan", "/etc/alternatives"),
)
_NETWORK = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols"),
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/ca-certificates.conf", "/usr/local/share/ca-certificates"),
)
_NOT_FOR_PROGRAMS = (
    *("KEPT_PROGRAMS", "KEPT_PROGRAMS_STORE"),
    *("KERAS_HOME", "MAIL", "OLDPWD", "TEMP", "TMP", "XDG_CACHE_HOME"),
)
_LIBRARIES = frozenset({"site-packages", "dist-packages"})
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
_DEVICES = ("null", "zero", "full", "nvidia*", "dri", "dxg", "kfd")


@dataclass(frozen=True)
class Sandbox:
    """What a program may use in addition to Python, its libraries and the GPU.

    `read`, `write`: files and folders with their content. `home`: a folder in `write` that becomes HOME and contains
    the folder of temporary files (`.tmp`), with the data that Keras downloads.
    """

    read: tuple[Path, ...]
    write: tuple[Path, ...]
    network: bool
    home: Path


@dataclass(frozen=True)
class Lack:
    """A missing layer, the reason, and whether no other layer replaces it."""

    layer: str
    reason: str
    is_open: bool


@dataclass(frozen=True)
class SandboxReport:
    """The layers of the sandbox that are in force, and the missing ones."""

    layers: tuple[str, ...]
    lacks: tuple[Lack, ...]
    seconds: float

    @property
    def openings(self) -> str:
        """The promises that the sandbox does not keep; empty if it keeps all."""
        return "; ".join(f"{lack.layer}: {lack.reason}" for lack in self.lacks if lack.is_open)

    @property
    def is_closed(self) -> bool:
        """Whether the sandbox keeps all promises."""
        return not self.openings


class BoxOpen(TrainingError):
    """This process must not run a script: the setting forbids it, or the sandbox is incomplete. Another worker may."""

    code = "no_box"
    may_retry = True


def confine(sandbox: Sandbox, allow_code: AllowCode) -> SandboxReport | None:
    """Apply the setting `allow_code` before a script runs: enter the sandbox, or, if unboxed, do nothing.

    Raises BoxOpen if the script must not run; the worker then takes no more programs.
    """
    if allow_code == "unboxed":
        return None
    if allow_code == "no":
        raise BoxOpen("FITSTOP_ALLOW_CODE=no: this worker runs no programs")
    report = enter_sandbox(sandbox)
    if not report.is_closed:
        raise BoxOpen(f"scripts cannot be confined here ({report.openings})")
    return report


def enter_sandbox(sandbox: Sandbox, *, abi: int | None = None) -> SandboxReport:
    """Confine this process and all its children to `sandbox`.

    The folders of `sandbox` must exist. Environment variables that training does not need are removed; those of the
    program are set later. Call this while the process has one thread: without Landlock's ABI 8, existing threads
    keep their access to files, and the report says that the sandbox is open.

    `abi`: for tests, use Landlock as in a kernel with this ABI; 0 for none. Raises OSError if a path cannot be
    opened or given to another user.
    """
    began = time.perf_counter()
    entry = _Entry(sandbox, landlock.landlock_abi() if abi is None else min(abi, landlock.landlock_abi()))
    entry.enter()
    return SandboxReport(tuple(entry.layers), tuple(entry.lacks), time.perf_counter() - began)


class _Entry:
    """The steps into a sandbox, layer by layer."""

    def __init__(self, sandbox: Sandbox, abi: int) -> None:
        self._sandbox = sandbox
        self._abi = abi
        self.layers: list[str] = []
        self.lacks: list[Lack] = []

    def enter(self) -> None:
        if not sys.platform.startswith("linux"):
            self._lack("all", "the sandbox needs Linux", is_open=True)
            return
        self._clean_environment()
        _leave_helpers()
        files = self._prepare_files()
        self._become_group_leader()
        has_own_user = self._become_own_user()
        die_with_parent()  # a change of the user switches it off
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        self.layers.append("no new privileges")
        self._limit(has_own_user=has_own_user)
        if files is not None:
            self._enforce(files)
        self._filter(has_own_user=has_own_user)

    def _lack(self, layer: str, reason: str, *, is_open: bool) -> None:
        self.lacks.append(Lack(layer, reason, is_open))

    def _clean_environment(self) -> None:
        temporary = self._sandbox.home / ".tmp"
        temporary.mkdir(exist_ok=True)
        leave_for_training(os.environ)
        for name in _NOT_FOR_PROGRAMS:
            os.environ.pop(name, None)
        for_keras = temporary / "keras"
        for_keras.mkdir(exist_ok=True)
        folders = {"HOME": self._sandbox.home, "TMPDIR": temporary, "KERAS_HOME": for_keras}
        os.environ |= {name: str(folder) for name, folder in folders.items()}
        tempfile.tempdir = None
        # Keras reads the variable when it is imported. A private name, pinned by a test.
        if (config := sys.modules.get("keras.src.backend.config")) is not None:
            config._KERAS_DIR = str(for_keras)  # type: ignore[attr-defined]
        self.layers.append("environment without secrets")

    def _prepare_files(self) -> landlock.Ruleset | None:
        """Open the allowed paths while this process still can."""
        try:
            return landlock.Ruleset(self._allowed(), tcp=self._sandbox.network, abi=self._abi)
        except NotGiven as lack:
            self._lack("files", str(lack), is_open=True)
            return None

    def _allowed(self) -> Iterator[landlock.Allowed]:
        system = [*map(Path, _SYSTEM), *_python(), *(map(Path, _NETWORK) if self._sandbox.network else ())]
        # GPU kernels that the driver compiled. Other jobs run them, so a program may only read them.
        system += [Path(folder) for folder in (os.environ.get("CUDA_CACHE_PATH"),) if folder]
        for path in system:
            if any(ours.is_relative_to(path) for ours in self._sandbox.write):
                self._lack("files", f"the data is in {path}, which every program can read", is_open=True)
        yield from landlock.allow((*system, *self._sandbox.read), landlock.READ)
        yield from landlock.allow(self._sandbox.write, landlock.WRITE)
        yield from landlock.allow(_devices(), landlock.DEVICE)
        if any(ours.is_relative_to(_SHARED_MEMORY) for ours in (*self._sandbox.write, *self._sandbox.read)):
            self._lack("shared memory", "the data is there, so the program cannot read it", is_open=False)
        else:
            yield landlock.Allowed(_SHARED_MEMORY, landlock.SHARED_MEMORY)
        yield landlock.Allowed(Path("/proc/self"), landlock.OWN_PROCESS)

    def _become_group_leader(self) -> None:
        """Lead a process group, which the worker kills with all processes of the script."""
        if os.getpgrp() != os.getpid():
            os.setpgid(0, 0)
        self.layers.append("process group")

    def _become_own_user(self) -> bool:
        needed = (*_python(), *self._sandbox.read, *self._sandbox.write)
        try:
            become_own_user(self._sandbox.write, needed, _devices())
        except NotGiven as lack:
            self._lack("own user", str(lack), is_open=False)
            if permitted_capabilities():
                keep_capabilities(0)
            return False
        self.layers.append("own user")
        return True

    def _limit(self, *, has_own_user: bool) -> None:
        limits = {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_NOFILE: _OPEN_FILES,
            resource.RLIMIT_FSIZE: _FILE_BYTES,
            resource.RLIMIT_NPROC: _PROCESSES if has_own_user else _PROCESSES + _count_own_threads(),
        }
        for kind, limit in limits.items():
            _, hard = resource.getrlimit(kind)
            lower = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (lower, lower))
        # If memory runs out, the kernel kills this process and not its worker.
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500")
        if os.geteuid() == 0:
            self._lack("number of processes", "the kernel does not limit those of root", is_open=True)
        self.layers.append("limits")

    def _enforce(self, files: landlock.Ruleset) -> None:
        files.enforce()
        threads = len(list(Path("/proc/self/task").iterdir()))
        if threads > 1 and self._abi < landlock.THREADS_ABI:
            reason = f"{threads - 1} threads had already started, and this kernel's Landlock confines only its caller"
            self._lack("files", reason, is_open=True)
            return
        self.layers.append(f"files (Landlock {self._abi})")
        if self._abi >= landlock.TCP_ABI and not self._sandbox.network:
            self.layers.append("no TCP (Landlock)")
        if self._abi >= landlock.SCOPES_ABI:
            self.layers.append("signals (Landlock)")

    def _filter(self, *, has_own_user: bool) -> None:
        need = seccomp.Need(
            network=self._sandbox.network,
            signals=self._abi < landlock.SCOPES_ABI and not has_own_user,
            attributes=not has_own_user,
            truncation=self._abi < landlock.TRUNCATION_ABI,
        )
        try:
            seccomp.enforce(need)
        except NotGiven as lack:
            self._lack("system calls", str(lack), is_open=True)
            return
        self.layers.append("system calls (seccomp)")
        if not self._sandbox.network:
            self.layers.append("no network (seccomp)")


def _python() -> list[Path]:
    """The folders of the interpreter, of its libraries and of the service."""
    # In a wheel the service's folders are in `fitstop`; in a clone they are next to it.
    service = [folder for name in ("fitstop", "shared", "worker") for folder in _folders_of(name)]
    libraries = [path for path in sys.path if Path(path).name in _LIBRARIES]
    return sorted({*map(Path, (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *libraries)), *service})


def _folders_of(package: str) -> list[Path]:
    spec = find_spec(package)
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


def _devices() -> list[Path]:
    return [path for pattern in _DEVICES for path in Path("/dev").glob(pattern)]


def _leave_helpers() -> None:
    """Make `multiprocessing` start its own helpers in the sandbox, instead of using the worker's."""
    from multiprocessing import forkserver, resource_tracker

    tracker: Any = resource_tracker._resource_tracker
    server: Any = forkserver._forkserver
    for helper, name in ((tracker, "_fd"), (server, "_forkserver_alive_fd")):
        descriptor = getattr(helper, name)
        if descriptor is not None:
            os.close(descriptor)
            setattr(helper, name, None)
    tracker._pid = server._forkserver_address = server._forkserver_pid = None


def _count_own_threads() -> int:
    """Count the threads of this user, which the kernel counts against the limit of processes."""
    return sum(_count_threads(path) for path in Path("/proc").iterdir() if path.name.isdecimal())


def _count_threads(process: Path) -> int:
    try:
        if process.stat().st_uid != os.getuid():
            return 0
        return process.joinpath("task").stat().st_nlink - 2
    except OSError:  # it has ended
        return 0


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    report = enter_sandbox(Sandbox((), (folder,), network=False, home=folder))
    lacks = [f"{lack.layer}: {lack.reason}" for lack in report.lacks]
    print(json.dumps({"layers": report.layers, "lacks": lacks, "openings": report.openings}))  # noqa: T201
