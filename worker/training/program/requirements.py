"""Installs the packages of a program's `requirements.txt` that the worker does not have.

    <cache>/requirements/<hash>/        the packages of one lock, complete or absent
    <cache>/requirements/<hash>.lock    locked by each process that uses them
    <cache>/requirements/locks/<hash>   locks of the last 24 hours, by the lines and the worker's versions

`uv` resolves with the worker's versions as constraints. The worker's packages are left out, so that a program never
gets a second NumPy. The others are installed only from wheels: no code of a package runs outside the sandbox.
"""

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from shared.durable import create_file
from worker.machine.disk_use import used_bytes
from worker.training.errors import TrainingError
from worker.training.hashing import do_nothing
from worker.training.program.overlay_cache import OverlayCache, work_folder

_DAY_SECONDS = 24 * 3600
_LOOK_SECONDS = 0.1
_MOST_LINES = 1000
_MOST_SAID = 2000
# TensorFlow's package has a name for each kind of machine; the worker has one of them.
_TENSORFLOW = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-intel", "tensorflow-macos", "tf-nightly")
_WITHOUT_EXTRAS = frozenset({"keras", "numpy", *_TENSORFLOW})
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)


class RequirementsRefused(TrainingError):
    """A line that is not accepted, a conflict, or a limit exceeded; never retried."""

    code = "requirements_refused"


class RequirementsUnavailable(TrainingError):
    """The package registry did not answer; another attempt may succeed."""

    code = "requirements_unavailable"
    may_retry = True


@dataclass(frozen=True)
class Limits:
    """Limits of packages: bytes on the disk for all programs together, and seconds for one installation."""

    most_bytes: int = 10 * 1024**3
    seconds: float = 600


@dataclass(frozen=True)
class Overlay:
    """Installed packages. `folder`: for `sys.path`; None if the worker has all packages.

    `lock`: every package, pinned, with hashes. `packages`: those in the folder, as `name==version`.
    """

    folder: Path | None
    lock: str
    packages: tuple[str, ...]
    seconds: float


def install_requirements(
    requirements: str,
    cache_folder: Path,
    limits: Limits = Limits(),
    *,
    job_lock: Path | None = None,
    keep_alive: Callable[[], None] = do_nothing,
) -> Overlay:
    """Install a program's packages on this machine.

    `job_lock`: the job's own lock file, which the first attempt writes and later ones read, so that all have the same
    versions. `keep_alive` is called several times a second, and may raise to stop. Raises RequirementsRefused, which
    names every line that is wrong, RequirementsUnavailable, and OSError.
    """
    began = time.monotonic()
    folder = cache_folder / "requirements"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = read_requirements(requirements)
    lock = _read_lock(job_lock)
    with work_folder(folder) as work:
        uv = _Uv(work, limits, began, keep_alive)
        if lock is None:
            lock = _resolve(wanted, uv, folder / "locks") if wanted else ""
            lock = _store_lock(job_lock, lock)
        missing = _list_missing(lock)
        if not missing:
            return Overlay(None, lock, (), time.monotonic() - began)
        name = hashlib.sha256("\n".join([_platform(), *missing]).encode()).hexdigest()
        place = OverlayCache(folder, limits.most_bytes).get(name, lambda into: uv.install(missing, into), keep_alive)
    return Overlay(place, lock, tuple(_pinned(missing)), time.monotonic() - began)


def read_requirements(text: str) -> list[Requirement]:
    """The lines to resolve, without those that the worker's own packages satisfy.

    Raises RequirementsRefused with every line that names no package of a registry, or another version of a package
    that the worker has.
    """
    lines = list(_lines(text))
    found, problems = [], []
    for number, line in lines[:_MOST_LINES]:
        try:
            requirement = _read_line(line)
        except RequirementsRefused as refused:
            problems.append(f"line {number}: {line[:200]!r}: {refused}")
            continue
        if requirement is not None:
            found.append(requirement)
    if len(lines) > _MOST_LINES:
        problems.append(f"{len(lines)} lines, expected at most {_MOST_LINES}")
    if problems:
        raise RequirementsRefused("requirements.txt: " + "; ".join(problems))
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        bare = re.sub(r"(^|\s)#.*", "", line).strip()
        if bare:
            yield number, bare


def _read_line(line: str) -> Requirement | None:
    """The requirement; None for one that this worker satisfies, and for one that is for other machines."""
    if line.startswith("-"):
        raise RequirementsRefused("options are not accepted; only names of packages are")
    if "--hash" in line or line.endswith("\\"):
        raise RequirementsRefused("hashes and continued lines are not accepted; Fitstop creates its own lock")
    if "://" in line or line.startswith((".", "/", "~")) or line.endswith((".whl", ".tar.gz", ".zip")):
        raise RequirementsRefused(
            "addresses and paths are not accepted; expected the name of a package in the registry"
        )
    try:
        requirement = Requirement(line)
    except InvalidRequirement as error:
        raise RequirementsRefused(f"not a requirement ({str(error).splitlines()[0]})") from None
    if requirement.url is not None:
        raise RequirementsRefused(
            "addresses and paths are not accepted; expected the name of a package in the registry"
        )
    if requirement.marker is not None and not requirement.marker.evaluate():
        return None
    return None if _is_satisfied(requirement) else requirement


def _is_satisfied(requirement: Requirement) -> bool:
    """Whether the worker satisfies it. Raises RequirementsRefused if it has another version."""
    name = canonicalize_name(requirement.name)
    version = worker_versions().get(name)
    if version is None:
        if name in _WITHOUT_EXTRAS:
            raise RequirementsRefused(f"this worker has no {name}, and programs cannot install it")
        return False
    if not requirement.specifier.contains(version, prereleases=True):
        raise RequirementsRefused(
            f"this worker has {name} {version}, which its programs share; require that version or none"
        )
    return not requirement.extras or name in _WITHOUT_EXTRAS


@cache
def worker_versions() -> Mapping[str, str]:
    """The version of each package that the worker has, by its canonical name."""
    found = {
        str(canonicalize_name(one.metadata["Name"])): one.version for one in distributions() if one.metadata["Name"]
    }
    tensorflow = next((found[name] for name in _TENSORFLOW if name in found), None)
    return found if tensorflow is None else {**dict.fromkeys(_TENSORFLOW, tensorflow), **found}


def _read_lock(file: Path | None) -> str | None:
    return file.read_text() if file is not None and file.exists() else None


def _store_lock(file: Path | None, lock: str) -> str:
    """Store the job's lock, and return it; or the lock of another attempt that stored it first."""
    if file is not None and not create_file(file, lock.encode()):
        return file.read_text()
    return lock


def _resolve(wanted: Sequence[Requirement], uv: "_Uv", locks: Path) -> str:
    """The lock of the requirements: every package, pinned, with hashes. From the cache if it is less than a day old."""
    asked = "".join(f"{one}\n" for one in sorted(map(str, wanted)))
    constraints = "".join(f"{name}=={version}\n" for name, version in sorted(worker_versions().items()))
    known = locks / hashlib.sha256(f"{_platform()}\n{asked}\n{constraints}".encode()).hexdigest()
    with suppress(FileNotFoundError):
        if time.time() - known.stat().st_mtime < _DAY_SECONDS:
            return known.read_text()
    lock = uv.resolve(asked, constraints)
    locks.mkdir(exist_ok=True)
    beside = uv.work / "lock"
    beside.write_text(lock)
    beside.replace(known)
    return lock


def _platform() -> str:
    return f"{sys.implementation.cache_tag} {sys.platform} {os.uname().machine}"


def _list_missing(lock: str) -> list[str]:
    """The entries of a lock, with their hashes, of packages that the worker does not have."""
    entries, held = re.split(r"\n(?=\S)", lock.strip()), worker_versions()
    return [one for one in entries if (found := _PINNED.match(one)) and canonicalize_name(found[1]) not in held]


def _pinned(entries: Sequence[str]) -> Iterator[str]:
    return (found[0] for one in entries if (found := _PINNED.match(one)))


class _Uv:
    """Runs `uv` within the limits, with a cache of its own in the folder `work`."""

    def __init__(self, work: Path, limits: Limits, began: float, keep_alive: Callable[[], None]) -> None:
        self.work = work
        self._limits = limits
        self._began = began
        self._keep_alive = keep_alive

    def resolve(self, requirements: str, constraints: str) -> str:
        (self.work / "requirements.in").write_text(requirements)
        (self.work / "constraints.txt").write_text(constraints)
        options = ("--constraint", "constraints.txt", "--generate-hashes", "--no-header", "--no-annotate")
        self._run("compile", "requirements.in", *options, "--output-file", "requirements.lock")
        return (self.work / "requirements.lock").read_text()

    def install(self, entries: Sequence[str], into: Path) -> None:
        (self.work / "missing.lock").write_text("\n".join(entries) + "\n")
        options = ("--no-deps", "--require-hashes", "--target", str(into))
        self._run("install", "-r", "missing.lock", *options)

    def _run(self, *command: str) -> None:
        """Run `uv pip` within the limits. Raises what `install_requirements` raises."""
        from uv import find_uv_bin

        always = ("--only-binary", ":all:", "--python", sys.executable, "--quiet", "--no-progress", "--color", "never")
        said = self.work / "said"
        with said.open("wb") as log:
            process = subprocess.Popen(
                [find_uv_bin(), "pip", *command, *always, "--cache-dir", "cache"],
                cwd=self.work,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            try:
                self._watch(process)
            finally:
                process.kill()
                process.wait()
        if process.returncode:
            raise _explain(said.read_text(errors="replace"))

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        looked = time.monotonic()
        while True:
            self._keep_alive()
            now = time.monotonic()
            if now - self._began > self._limits.seconds:
                raise RequirementsRefused(f"the requirements took more than {self._limits.seconds:g} s to install")
            if now - looked > 1:
                looked = now
                self._check_size()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
                break
        self._check_size()

    def _check_size(self) -> None:
        if sum(used_bytes(self.work)) > self._limits.most_bytes:
            limit = f"{self._limits.most_bytes / 1024**3:g} GiB"
            raise RequirementsRefused(f"the requirements take more than {limit} (FITSTOP_REQUIREMENTS_BYTES)")


def _explain(said: str) -> TrainingError:
    text = " ".join(said.split())[:_MOST_SAID]
    if "No solution found" in text or "hash" in text.lower():
        return RequirementsRefused(f"the requirements conflict with the packages of this worker: {text}")
    return RequirementsUnavailable(f"the package registry did not provide what the program requires: {text}")
