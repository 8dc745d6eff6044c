"""Runs the script in a sandbox, with victims around it: files of others, listeners, and the process that started it.

`python -m proofs.hostile_script.stand FOLDER ABI FORKS` runs as the user whose sandbox is tested, in an empty folder of
that user, and prints the verdict as JSON. It is to the script what a worker is to a training process: the parent, with
secrets in its environment, a pipe that it reads, and the same user.
"""

import json
import multiprocessing
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import IO, Any

from worker.ipc import pulse
from worker.machine.ownership import take_back

SECRET = "a-secret-of-the-worker"
SCRIPT = Path(__file__).with_name("script.py")
_SECONDS = 120

_ENTER = """
import json, os, runpy, sys
from pathlib import Path
order = json.loads(sys.argv[1])
attempt, home = Path(order["attempt"]), Path(order["home"])
from worker.training.program.sandbox import Sandbox, enter_sandbox
sandbox = Sandbox((Path(order["dataset"]),), (attempt,), network=False, home=home)
report = enter_sandbox(sandbox, abi=order["abi"])
os.environ.update(TARGETS=json.dumps(order["targets"]), FITSTOP_DATASET_MINE=order["dataset"])
os.chdir(home)
lacks = {lack.layer: lack.reason for lack in report.lacks}
Path("report.json").write_text(json.dumps({"closed": report.is_closed, "layers": report.layers, "lacks": lacks}))
runpy.run_path(order["script"], run_name="__main__")
"""

Facts = tuple[int, int, int, int, str]


@dataclass
class Stand:
    """Everything that the script could harm. `folder` is empty."""

    folder: Path
    abi: int | None
    forks: int
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.data = self.folder / "data"
        self.volume = self.data / "volume"
        self.other = self.volume / "jobs" / "aa" / "job_other" / "attempts" / "1"
        self.attempt = self.volume / "jobs" / "bb" / "job_mine" / "attempts" / "1"
        self.home = self.attempt / "files"
        self.dataset = self.volume / "datasets" / "mine" / "data.parquet"

    def prepare(self) -> None:
        """Create files of others, each with a secret in it."""
        held = ("admin_key", "cli.json", "redis/redis.conf", "logs/api.log", "api/keys.json", "cuda-cache/index")
        held += ("compiled-programs/compiler/threads-2__1.pb",)
        files = [self.data / name for name in held]
        files += [self.other / "output.log", self.other / "heartbeat", self.other.parents[1] / "spec.json"]
        files += [self.volume / "programs" / "theirs" / "program.zip"]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(SECRET)
        self.dataset.parent.mkdir(parents=True)
        self.dataset.write_text("rows")
        self.home.mkdir(parents=True)

    def facts(self) -> dict[str, Facts]:
        """The facts of each file outside the attempt's own folder."""
        return dict(self._facts(path) for path in self.folder.rglob("*") if not path.is_relative_to(self.attempt))

    def _facts(self, path: Path) -> tuple[str, Facts]:
        found = path.lstat()
        # The content of a folder is its list of names. The folders above the attempt's own may not change either.
        content = path.read_text() if path.is_file() else " ".join(sorted(one.name for one in path.iterdir()))
        return str(path), (found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, content)

    def run(self) -> dict[str, Any]:
        """Return what the script reports of each attack, and add to `wrong` what is wrong as seen from outside."""
        self.prepare()
        before, limits = self.facts(), _self()
        with _Listeners(self.folder) as listeners:
            found = self._attack(listeners)
            if heard := listeners.heard():
                self.wrong.append(f"something came out: {heard}")
        after = self.facts()
        self.wrong += [
            f"{path} changed" for path in before.keys() | after.keys() if before.get(path) != after.get(path)
        ]
        if _self() != limits:
            self.wrong.append(f"the parent was {limits} and is {_self()}")
        if Path("/tmp/of-a-hostile-script").exists():
            self.wrong.append("a file is in /tmp")
        self._judge_attempt(found)
        return found

    def _attack(self, listeners: "_Listeners") -> dict[str, Any]:
        targets = {"volume": str(self.volume), "data": str(self.data), "other": str(self.other), "parent": os.getpid()}
        order = {
            "targets": {**targets, **listeners.addresses, "forks": self.forks},
            "attempt": str(self.attempt),
            "home": str(self.home),
            "dataset": str(self.dataset),
            "abi": self.abi,
            "script": str(self.attempt / "script.py"),
        }
        (self.attempt / "script.py").write_bytes(SCRIPT.read_bytes())
        receiver, sender = multiprocessing.Pipe()
        environment = {name: value for name, value in os.environ.items() if SECRET not in value}
        process = subprocess.Popen(
            [sys.executable, "-c", _ENTER, json.dumps(order)], env=environment, pass_fds=[sender.fileno()]
        )
        sender.close()
        if not _hear_to_the_end(process, receiver):
            self.wrong.append(f"no end after {_SECONDS} s")
            process.kill()
        process.wait()
        self._clean_up(process)
        return self._read_report()

    def _clean_up(self, process: "subprocess.Popen[bytes]") -> None:
        """Clean up as a worker does (`Child.close`, `AttemptRun`), and check what is left."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        take_back(self.attempt)
        if process.returncode != 0:
            self.wrong.append(f"the script ended with {process.returncode}")
        if _is_alive(self.home / "grandchild"):
            self.wrong.append("a process outlives the job")

    def _read_report(self) -> dict[str, Any]:
        report = json.loads((self.home / "report.json").read_text())
        report["attacks"] = json.loads((self.home / "attacks.json").read_text())
        report["worked"] = sorted(name for name, (what, _) in report["attacks"].items() if what == "DID")
        return report | {"forks": int((self.home / "forks").read_text())}

    def _judge_attempt(self, found: dict[str, Any]) -> None:
        if SECRET in json.dumps(found):
            self.wrong.append("the script knows a secret")
        if (self.home / "unpickled").exists():
            self.wrong.append("a pickle of the script was loaded")
        for path in self.attempt.rglob("*"):
            mode, owner = path.lstat().st_mode, path.lstat().st_uid
            if not (S_ISREG(mode) or S_ISDIR(mode)):
                self.wrong.append(f"{path.name} is neither a file nor a folder")
            if owner != os.getuid():
                self.wrong.append(f"{path.name} belongs to {owner}")


class _Listeners:
    """Listeners on every kind of socket, which a program without a network must not reach."""

    def __init__(self, folder: Path) -> None:
        self._abstract = f"fitstop-{os.getpid()}"
        self._sockets = [
            socket.create_server(("127.0.0.1", 0)),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        ]
        tcp, udp, named, abstract = self._sockets
        udp.bind(("127.0.0.1", 0))
        named.bind(str(folder / "docker.sock"))
        abstract.bind("\0" + self._abstract)
        for one in (named, abstract):
            one.listen()
        self.addresses = {
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "socket": str(folder / "docker.sock"),
            "abstract": self._abstract,
        }

    def __enter__(self) -> "_Listeners":
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            one.close()
        Path(self.addresses["socket"]).unlink()

    def heard(self) -> list[str]:
        ready, _, _ = select.select(self._sockets, [], [], 0)
        return [f"{one.family.name} {one.type.name}" for one in ready]


def _self() -> tuple[Any, ...]:
    """The facts of this process that the script could change."""
    return (
        resource.getrlimit(resource.RLIMIT_CPU),
        os.getpriority(os.PRIO_PROCESS, 0),
        os.sched_getscheduler(0),
        os.sched_getaffinity(0),
    )


def _hear_to_the_end(process: "subprocess.Popen[bytes]", receiver: Connection) -> bool:
    """Read the pulses of a process as a worker does; False if it has not ended after `_SECONDS`."""
    until, heard = time.monotonic() + _SECONDS, [receiver]
    with _open_handle(process.pid) as handle:
        while ready := wait([handle, *heard], max(0.0, until - time.monotonic())):
            if handle in ready:
                return True
            try:
                pulse.newest(receiver)
            except EOFError:
                heard.clear()
    return False


def _is_alive(note: Path) -> bool:
    """Whether the process named in `note` is still alive after 5 s."""
    try:
        with _open_handle(int(note.read_text().split()[1])) as handle:
            return not wait([handle], 5)
    except ProcessLookupError:
        return False


def _open_handle(pid: int) -> IO[bytes]:
    """A handle that is ready when a process has ended."""
    return os.fdopen(os.pidfd_open(pid), "rb")


def main(arguments: list[str]) -> int:
    """Run one stand."""
    folder, abi, forks = arguments
    os.environ["WORKER_PASSWORD"] = SECRET
    stand = Stand(Path(folder), None if abi == "-" else int(abi), int(forks))
    found = stand.run()
    print(json.dumps({**found, "wrong": stand.wrong}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
