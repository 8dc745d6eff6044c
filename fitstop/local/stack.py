"""The local stack: Redis, the API, the sender of webhooks and a worker as processes, with their data in one folder.

With FITSTOP_MLFLOW_URI it also runs the sender to MLflow. If FITSTOP_REDIS_URL is `none`, it runs no Redis.

<data>/volume        everything true about datasets and jobs, unless a bucket holds the volume
<data>/buckets/      the folders that stand for a bucket on this machine; they may be removed
<data>/api           keys, sessions and webhooks, only for the API and the sender of webhooks
<data>/logs/         redis.log, api.log, webhooks.log, mlflow.log, worker.log
<data>/redis         Redis's working folder; it keeps nothing there
<data>/admin_key     the stack's own API key, of scope admin, unless FITSTOP_ADMIN_KEY contains one
<data>/cuda-cache    kernels that a driver compiled for its GPU
<data>/cli.json      the address and the key, for the other commands, while the stack runs
<data>/.lock         held while a stack runs on the folder (fitstop.local.data_lock)
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Self

from fitstop.client import Client
from fitstop.connection import Connection, check_url, read_cli_json, remove_cli_json, write_cli_json
from fitstop.errors import ClientError
from fitstop.local.component import Component, GaveUp, Report
from fitstop.local.data_lock import DataLock
from fitstop.local.ports import StackError, choose_port, is_free, reachable
from fitstop.local.redis_server import NO_REDIS, NONE, RedisPlan, find_redis_server, warn_of_old
from fitstop.service import run_service, service_command, service_environment

_LOOK_SECONDS = 0.1
# Time between two checks of a bucket that does not answer.
_BUCKET_SECONDS = 3
# A GPU newer than TensorFlow's kernels may compile them for this long.
_FIRST_USE_SECONDS = 3600
_PASSED_ON = frozenset({"PATH", "HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LOGNAME", "TMPDIR", "TZ", "USER"})
_PASSED_ON_PREFIXES = ("CUDA_", "FITSTOP_", "LC_", "NVIDIA_", "SSL_", "TF_", "XLA_")
# Variables that FITSTOP_IDLE_HOOK needs to stop a machine of RunPod or Vast.ai; only for the worker.
_OF_THE_PROVIDER = ("CONTAINER_", "RUNPOD_", "VAST_")
MLFLOW_VARIABLE = "FITSTOP_MLFLOW_URI"
_PROXIES = tuple(f"{one}_PROXY" for one in ("HTTP", "HTTPS", "ALL", "NO"))
_PROXIES += tuple(name.lower() for name in _PROXIES)
# The keys and the address of a bucket, and proxies; for processes that use the volume.
_OF_THE_BUCKET = ("AWS_", *_PROXIES)
# The credentials for an MLflow server, and proxies; only for the sender to MLflow.
_OF_MLFLOW = ("MLFLOW_TRACKING_", *_PROXIES)


class NotReady(Exception):
    """The stack was started, but is not ready in time."""


@dataclass(frozen=True)
class StackOptions:
    """Options of the stack. `port`: by default 8000, or another one if that is in use.

    `bucket`: the address of the volume's bucket; without one the volume is a folder in `data`. Without Redis, the
    worker checks the volume for jobs every FITSTOP_SWEEP_SECONDS.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int | None = None
    slots: int = 1
    has_redis: bool = True
    bucket: str = ""

    def describe(self) -> str:
        """The processes, for people."""
        return "Redis, the API and a worker" if self.has_redis else "the API and a worker, without Redis,"


class LocalStack:
    """Runs the processes while its context is open; ends them in the order worker, sender, API, Redis.

    A process that has ended is restarted, with a call of `report` from another thread. After five quick ends `check`
    raises GaveUp. All state is on the volume, where the next start finds it.
    """

    def __init__(self, options: StackOptions, report: Report, environment: Mapping[str, str] = os.environ) -> None:
        self.options = options
        self.data = options.data.resolve()
        self.volume = options.bucket or str(self.data / "volume")
        self.logs = self.data / "logs"
        self.url = ""
        self.api_key = ""
        self._report = report
        self._environment = environment
        self._lock = DataLock(self.data)
        self._guard = threading.Lock()
        self._ending = False
        self._ended = threading.Event()
        self._failure: GaveUp | None = None
        self._keeper: threading.Thread | None = None
        self._components: list[Component] = []
        self._port = 0
        self._announced = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all processes, without waiting until they are ready. Raises StackError if they cannot be started."""
        _check_installed()
        _check_mlflow(self._environment.get(MLFLOW_VARIABLE))
        program = _find_redis() if self.options.has_redis else None
        running = running_stack(self.data)
        if running is not None:
            raise StackError(f"a service already runs on {self.data}: {running.url}")
        port = choose_port(self.options.host, self.options.port)
        self._make_folders()
        self._lock.take()
        self._listen_on(port)
        redis = RedisPlan(self.data / "redis", self.logs / "redis.log")
        settings = self._settings(redis.url if program else NONE)
        self.api_key = self._run_preflight(settings)
        if program:
            self._start_redis(program, redis)
        services = self._plan(settings)
        self._components += services
        for component in services:
            component.start()
        self._keeper = threading.Thread(target=self._keep, name="fitstop-stack", daemon=True)
        self._keeper.start()

    def _listen_on(self, port: int) -> None:
        self._port = port
        self.url = f"http://{reachable(self.options.host)}:{port}"

    def _leave_taken_port(self, api: Component) -> None:
        """Choose another port if another program took it before the API started; not after it was announced."""
        if self.options.port is None and not self._announced and not is_free(self.options.host, self._port):
            self._listen_on(choose_port(self.options.host, None))
            api.environment = {**api.environment, "FITSTOP_PORT": str(self._port)}
            for client in self._components:
                if "FITSTOP_URL" in client.environment:
                    client.environment = {**client.environment, "FITSTOP_URL": self.url}
                    client.kill()

    def _make_folders(self) -> None:
        try:
            for folder in (self.data, self.logs, self.data / "redis"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"{self.data} cannot be used as the data folder: {error}") from error

    def _settings(self, redis_url: str) -> dict[str, str]:
        """The environment of the API and the worker."""
        return {
            "FITSTOP_ALLOW_CODE": "boxed",
            **clean_environment(self._environment),
            **self._of_the_bucket(),
            "FITSTOP_VOLUME": self.volume,
            "FITSTOP_REDIS_URL": redis_url,
            "FITSTOP_HOST": self.options.host,
            "FITSTOP_PORT": str(self._port),
            "FITSTOP_SLOTS": str(self.options.slots),
            "PYTHONUNBUFFERED": "1",
        }

    def _run_preflight(self, settings: Mapping[str, str]) -> str:
        """Check that the service can start, and return its key. Raises StackError if it cannot."""
        done = self._wait_for_bucket(
            lambda: run_service("shared.preflight", str(admin_key_file(self.data)), environment=settings)
        )
        if done.returncode:
            raise StackError(done.stderr.strip())
        for warning in done.stderr.splitlines():
            self._report(warning)
        return done.stdout.strip()

    def _wait_for_bucket(self, look: Callable[[], CompletedProcess[str]]) -> CompletedProcess[str]:
        """Repeat a check until the bucket answers, and return it. Reports once why it waits."""
        reported = ""
        while (done := look()).returncode == os.EX_TEMPFAIL:
            if (reason := done.stderr.strip()) != reported:
                self._report(f"{reason}; waiting until it answers")
                reported = reason
            time.sleep(_BUCKET_SECONDS)
        return done

    def _plan(self, settings: Mapping[str, str]) -> list[Component]:
        """All components except Redis, in the order in which they start."""
        service = service_environment(settings)
        service.pop("FITSTOP_ADMIN_KEY", None)
        return [
            Component(
                "the API",
                service_command("api"),
                {**service, "FITSTOP_ADMIN_KEY": self.api_key},
                self.logs / "api.log",
                stop_seconds=10,
                before_restart=self._leave_taken_port,
            ),
            Component(
                "the sender of webhooks", service_command("api.webhooks"), service, self.logs / "webhooks.log", 5
            ),
            *self._mlflow(clean_environment(self._environment)),
            Component(
                "the worker",
                service_command("worker"),
                {"CUDA_CACHE_PATH": str(self.data / "cuda-cache"), **service, **self._of_the_provider()},
                self.logs / "worker.log",
                stop_seconds=25,
                may_finish=float(self._environment.get("FITSTOP_IDLE_EXIT_SECONDS") or 0) > 0,
            ),
        ]

    def _mlflow(self, environment: Mapping[str, str]) -> list[Component]:
        """The sender to MLflow, which is a client of the API; none without FITSTOP_MLFLOW_URI."""
        if not self._environment.get(MLFLOW_VARIABLE):
            return []
        command = [sys.executable, "-P", "-m", "fitstop.cli.main", "export", "mlflow", "--live"]
        ours = {"FITSTOP_URL": self.url, "FITSTOP_API_KEY": self.api_key, "PYTHONUNBUFFERED": "1"}
        return [
            Component(
                "the sender to MLflow",
                command,
                {**environment, **self._named(_OF_MLFLOW), **ours},
                self.logs / "mlflow.log",
                stop_seconds=5,
            )
        ]

    def _of_the_bucket(self) -> dict[str, str]:
        """The variables for a bucket, and for the data folder with its copies; empty without a bucket."""
        if not self.options.bucket:
            return {}
        return {**self._named(_OF_THE_BUCKET), "FITSTOP_DATA": str(self.data)}

    def _of_the_provider(self) -> dict[str, str]:
        return self._named(_OF_THE_PROVIDER)

    def _named(self, beginnings: tuple[str, ...]) -> dict[str, str]:
        return {name: value for name, value in self._environment.items() if name.startswith(beginnings)}

    def _start_redis(self, program: str, redis: RedisPlan) -> None:
        if warning := warn_of_old(program):
            self._report(warning)
        component = Component(
            "Redis",
            [program, "-"],
            clean_environment(self._environment),
            redis.log,
            stop_seconds=5,
            stdin=redis.config(),
        )
        self._components.append(component)
        component.start()
        deadline = time.monotonic() + 10
        while not redis.answers():
            if not component.is_running or time.monotonic() > deadline:
                raise StackError("\n".join([f"Redis did not start; its log {redis.log}:", *component.last_lines()]))
            time.sleep(0.02)

    def _keep(self) -> None:
        # Must run as long as the components: the kernel ends those that this thread has started when it ends.
        while not self._ended.wait(_LOOK_SECONDS):
            with self._guard:
                if self._ending or self._failure:
                    continue
                try:
                    for component in self._components:
                        component.look_after(self._report)
                except GaveUp as failure:
                    self._failure = failure

    def check(self) -> None:
        """Raise GaveUp if a component has ended too often."""
        if self._failure is not None:
            raise self._failure

    def wait_ready(self, seconds: float = 180) -> dict[str, Any]:
        """Wait until the API answers and the worker takes jobs, or reports why it does not; return the worker's card.

        Then write `cli.json`. Raises NotReady after `seconds`, or an hour while the worker tries its GPU, and GaveUp if
        a component has ended too often.
        """
        began = time.monotonic()
        while (card := self._our_card()) is None or card["status"] not in {"ready", "busy", "unfit", "paused"}:
            self._wait(began + (_FIRST_USE_SECONDS if _tries_its_gpu(card) else seconds))
        self._announced = True
        write_cli_json(self.data, self.url, self.api_key)
        return card

    def _wait(self, deadline: float) -> None:
        self.check()
        if time.monotonic() > deadline:
            raise NotReady(f"the API and a worker did not become ready in time; see the logs in {self.logs}")
        time.sleep(_LOOK_SECONDS)

    def _our_card(self) -> dict[str, Any] | None:
        with Client(self.connection) as client:
            try:
                cards = client.workers()["data"]
            except (ClientError, KeyError):
                return None
        # Not the card of an earlier stack on this volume, and not that of another stack that has this port.
        ours = (self._components[-1].pid, socket.gethostname())
        alive = (card for card in cards if card.get("status") not in {None, "lost"})
        return next((card for card in alive if (card.get("pid"), card.get("host")) == ours), None)

    @property
    def connection(self) -> Connection:
        """The address and the key of this stack."""
        return Connection(self.url, self.api_key, "the local stack")

    def stay(self) -> None:
        """Wait until the worker has ended because it was idle (FITSTOP_IDLE_EXIT_SECONDS).

        Raises GaveUp if a component ends too often, and KeyboardInterrupt on a signal.
        """
        while not self._components[-1].has_finished:
            self.check()
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """End worker, sender, API and Redis, in this order. A second Ctrl-C while it waits kills what is left."""
        self._ending = True
        with self._guard:
            try:
                remove_cli_json(self.data)
                for component in reversed(self._components):
                    component.stop()
            except KeyboardInterrupt:
                self._report("killing the remaining processes")
                for component in reversed(self._components):
                    component.kill()
        self._ended.set()
        if self._keeper is not None:
            self._keeper.join()
        self._lock.release()


def admin_key_file(data: Path) -> Path:
    """The file of the stack's key, readable only by this user."""
    return data / "admin_key"


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of the user's environment that all components get."""
    return {
        name: value for name, value in environment.items() if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }


def running_stack(data: Path) -> Connection | None:
    """The stack that runs on this folder and answers; None if there is none."""
    stack = read_cli_json(data)
    if stack is None:
        return None
    connection = Connection(stack.url, stack.api_key, "the local stack")
    with Client(connection) as client:
        return connection if client.healthy() else None


def _tries_its_gpu(card: Mapping[str, Any] | None) -> bool:
    return card is not None and card["status"] == "starting" and not card["device"].startswith("CPU")


def wants_redis(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the stack starts Redis: unless FITSTOP_REDIS_URL is `none`."""
    return environment.get("FITSTOP_REDIS_URL") != NONE


def _find_redis() -> str:
    program = find_redis_server()
    if program is None:
        raise StackError(NO_REDIS)
    return program


def _check_mlflow(address: str | None) -> None:
    try:
        if address:
            check_url(address)
    except ValueError as error:
        raise StackError(f"{MLFLOW_VARIABLE}: {error}") from None


def _check_installed() -> None:
    missing = [name for name in ("flask", "gunicorn", "celery", "keras") if find_spec(name) is None]
    if missing:
        raise StackError(
            f"the local service needs {', '.join(missing)}, not installed in this Python: pip install 'fitstop[local]'"
        )
