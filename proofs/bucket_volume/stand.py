"""The service on a bucket: an API, and machines that come and go."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

from proofs.bucket_copy import Server
from proofs.chaos.record import Record
from proofs.webhooks import NETWORKS, SenderProcess
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.waiting import wait_for
from tests.support.worker_process import descendants

ADDRESS = "s3://proof/volume"
INTERVALS = {
    "FITSTOP_HEARTBEAT_SECONDS": "1",
    "FITSTOP_SELF_STOP_SECONDS": "8",
    "FITSTOP_TAKE_OVER_SECONDS": "12",
    "FITSTOP_SWEEP_SECONDS": "2",
    "FITSTOP_RETRY_BACKOFF_SECONDS": "0.2",
    "FITSTOP_RESUME_SECONDS": "0.5",
    "FITSTOP_BUCKET_SECONDS": "1",
    # On a busy machine an attempt is lost before its first resume point.
    "FITSTOP_MAX_LOSSES": "100",
    "FITSTOP_STOP_GRACE_SECONDS": "10",
    "FITSTOP_ALLOW_CODE": "unboxed",
}
# The time for which a request to an API that is killed, or whose bucket is unavailable, is repeated.
PATIENCE_SECONDS = 600.0


class Machine:
    """A worker with its own disk; with `has_namespaces` also with its own processes and network."""

    def __init__(self, number: int, folder: Path, server: Server, *, has_namespaces: bool) -> None:
        self.name = f"m{number}"
        self.data = folder / self.name
        self._log = folder / f"{self.name}.log"
        self._space = f"fsb{os.getpid() % 1000}-{number}" if has_namespaces else ""
        host, guest = f"10.99.{number}.1", f"10.99.{number}.2"
        environment = {**os.environ, **server.environment, **INTERVALS}
        prefix: list[str] = []
        if self._space:
            environment["AWS_ENDPOINT_URL"] = f"http://{host}:{server.port}"
            self._link = f"fs{os.getpid() % 1000}v{number}"
            for words in (
                f"netns add {self._space}",
                f"link add {self._link} type veth peer name eth0 netns {self._space}",
                f"addr add {host}/30 dev {self._link}",
                f"link set {self._link} up",
                f"-n {self._space} addr add {guest}/30 dev eth0",
                f"-n {self._space} link set eth0 up",
                f"-n {self._space} link set lo up",
            ):
                _ip(words)
            prefix = ["ip", "netns", "exec", self._space, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        environment |= {
            "FITSTOP_VOLUME": ADDRESS,
            "FITSTOP_DATA": str(self.data),
            "FITSTOP_CACHE": str(self.data / "cache"),
            "FITSTOP_REDIS_URL": "none",
            "TMPDIR": str(self.data / "tmp"),
        }
        (self.data / "tmp").mkdir(parents=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "worker"], env=environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def holds(self, pid: int) -> bool:
        return pid in descendants(self._process.pid)

    @property
    def processes(self) -> list[int]:
        """All its processes, including those that created its namespaces."""
        return [self._process.pid, *descendants(self._process.pid)]

    @property
    def worker(self) -> int | None:
        """The process of the worker; None before it exists."""
        return next((pid for pid in self.processes if _is_worker(pid)), None)

    def cut(self, seconds: float) -> None:
        """Cut the network for `seconds`: nothing passes, and no side is notified. Only with namespaces."""
        if self._space:
            _ip(f"link set {self._link} down")
            time.sleep(seconds)
            _ip(f"link set {self._link} up")

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def destroy(self) -> None:
        """Kill all its processes at once, and delete its disk."""
        processes = self.processes
        send(processes[::-1], signal.SIGKILL)
        self._process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), 20)
        shutil.rmtree(self.data)
        if self._space:
            _ip(f"netns del {self._space}")


class Stand:
    """The service on a bucket: an API, to which requests are repeated, and machines that come and go."""

    def __init__(self, folder: Path, server: Server, record: Record, machines: int) -> None:
        self._folder, self._server, self.record = folder, server, record
        self._numbers = iter(range(1, 250))
        environment = {
            **server.environment, **INTERVALS, **NETWORKS, "FITSTOP_DATA": str(folder / "api"),
            "FITSTOP_VOLUME": ADDRESS, "FITSTOP_REDIS_URL": "none",
        }  # fmt: skip
        root: Any = _Root(folder)
        self.api = ApiProcess(root, "none", folder / "api.log", **environment)
        self.api.start()
        self.sender = SenderProcess(root, folder / "sender.log", **environment)
        self.sender.start()
        # The path of the API's own folder depends on its settings.
        self.volume = Volume(next((folder / "api" / "buckets").glob("*/api")))
        self._changing = threading.Lock()
        self.machines = [self._machine() for _ in range(machines)]

    def _machine(self) -> Machine:
        return Machine(next(self._numbers), self._folder, self._server, has_namespaces=has_namespaces())

    def lose(self, machine: Machine) -> None:
        with self._changing:
            if machine not in self.machines:
                return
            machine.destroy()
            self.machines[self.machines.index(machine)] = self._machine()

    def end(self) -> None:
        for machine in self.machines:
            machine.destroy()
        self.sender.kill()
        self.api.kill()

    def ask(self, method: str, path: str, body: Any = None, also: tuple[int, ...] = (), **headers: str) -> Any:
        """Repeat a request until its answer is good, and return the JSON. The time of each answer is recorded."""
        asked = time.monotonic()
        while time.monotonic() - asked < PATIENCE_SECONDS:
            began = time.monotonic()
            try:
                answer = self.api.ask(method, path, body, **headers)
            except (OSError, HTTPException) as error:
                self.record.write("unanswered", path=path, error=str(error))
                time.sleep(0.3)
                continue
            self.record.write("answer", status=answer.status, seconds=round(time.monotonic() - began, 3), path=path)
            if answer.status < 300 or answer.status in also:
                return answer.json if answer.body else None
            if answer.status not in {503, 507}:
                raise AssertionError(f"{method} {path}: {answer.status} {answer.body!r}")
            time.sleep(0.3)
        raise AssertionError(f"{method} {path} was not answered well in {PATIENCE_SECONDS:g} s")

    def cancel(self, job: str) -> None:
        """Cancel a job that has not ended. The service refuses a second cancel."""
        if self.ask("GET", f"/jobs/{job}")["status"] in {"queued", "running"}:
            self.ask("POST", f"/jobs/{job}/cancel", also=(409,))

    def replace_dead(self, over: threading.Event) -> None:
        """Start a machine in place of each one whose worker has ended."""
        while not over.wait(1):
            for machine in [one for one in self.machines if not one.is_alive()]:
                self.record.write("ended", machine=machine.name)
                self.lose(machine)

    def is_ready(self) -> bool:
        """Whether the API answers and sees the bucket."""
        try:
            return bool(self.api.ask("GET", "/readyz").json["checks"]["volume"]["ok"])
        except (OSError, HTTPException):
            return False

    def start_api_again(self, over: threading.Event) -> None:
        """Restart the API and the sender a while after they have ended, even while the bucket is unavailable."""
        while not over.wait(random.uniform(0.2, 3)):
            if self.api.process is None or self.api.process.poll() is not None:
                self.api.begin()
            if self.sender.process is None or self.sender.process.poll() is not None:
                self.sender.start()


class _Root(NamedTuple):
    root: Path


def send(processes: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to those processes that exist."""
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _is_worker(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[:3] == [os.fsencode(sys.executable), b"-m", b"worker"]


def has_namespaces() -> bool:
    return os.geteuid() == 0 and shutil.which("ip") is not None and shutil.which("unshare") is not None


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)
