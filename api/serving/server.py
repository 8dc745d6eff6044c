"""The API under gunicorn: an event loop owns the connections, and a thread gets a whole request."""

import asyncio
import atexit
import errno
import gc
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.workers import gasgi  # type: ignore[import-untyped]

from api import create_app
from api.auth.access import shows_key
from api.http.logs import start_logging
from api.serving.asgi import Application
from api.serving.connection import Connection, bound_writes
from api.serving.exposure import Exposed, check
from api.serving.stand_in import StandIn
from api.serving.strangers import Strangers
from api.state.key_store import KeyStore
from api.state.service import Service
from api.state.state_folder import open_state_folder
from shared.durable import check_links
from shared.mirror.opening import BucketAway, BucketUnusable, wait_for_bucket
from shared.processes import hide_memory
from shared.settings import BadEnvironment, Settings, read_settings
from shared.volume import Volume

GRACEFUL_SECONDS = 5
# Seconds for which a thread keeps Python's lock while others wait: the event loop waits for it after each system call.
_SWITCH_SECONDS = 0.001
# Number of new connections that the event loop accepts before it looks at those that it has.
_ACCEPTED_AT_ONCE = 8
# Number of new objects after which Python looks for garbage: 700 is its own rule, in Python 3.11.
_NEW_OBJECTS = 20_000


def main() -> int:
    """Serve until a signal. Exit status 2 for an environment that cannot be used, 1 for a volume that cannot.

    Both before anything listens; an API or a Redis that would be open to everybody is an unusable environment.
    """
    try:
        settings = read_settings()
    except BadEnvironment as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    hide_memory()
    os.umask(int(settings.umask, 8))
    start_logging(settings.log_level, secrets_of(settings))
    try:
        _check_folder(settings)
        check(settings, KeyStore(open_state_folder(settings), settings.admin_key))
        if settings.bucket:
            _wait_for_bucket(settings)
    except Exposed as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    except OSError as error:
        print(f"{_place_of(error, settings)}: {_reason_of(error)}", file=sys.stderr)  # noqa: T201
        return 1
    if settings.api_processes > 1:
        count_together()
    # Each connection is an open file.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gasgi.ASGIProtocol = Connection
    Server(settings).run()
    return 0


def _check_folder(settings: Settings) -> None:
    """Raise OSError where the volume, or the folder that stands for a bucket, cannot be used."""
    if settings.bucket:
        settings.volume.mkdir(parents=True, exist_ok=True)
        check_links(settings.volume)
    else:
        check_links(Volume(settings.volume).root)


def _wait_for_bucket(settings: Settings) -> None:
    """Return when the bucket answers; until then a stand-in says so. Raises OSError where waiting does not help."""
    # The process of a container ends by itself on no signal.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with StandIn(settings.host, settings.port) as stand_in:
        wait_for_bucket(lambda: _check_bucket(settings.bucket), stand_in.serve_for)
    signal.signal(signal.SIGTERM, before)


def _check_bucket(address: str) -> None:
    """Raise BucketUnusable with the reason; in a process of its own, since each of ours opens it after the fork."""
    command = [sys.executable, "-P", "-m", "shared.mirror", address]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        kind = BucketAway if done.returncode == os.EX_TEMPFAIL else BucketUnusable
        raise kind(errno.EREMOTEIO, done.stderr.strip())


def secrets_of(settings: Settings) -> list[str]:
    """The secrets of the settings that no log line may hold."""
    password = urlsplit(settings.redis_url.get_secret_value()).password
    of_bucket = (os.environ.get(name) for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"))
    own = settings.admin_key and settings.admin_key.get_secret_value()
    return [text for text in (own, password, *of_bucket) if text]


def _reason_of(error: OSError) -> str:
    """What the system says, and of which file."""
    return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)


def _place_of(error: OSError, settings: Settings) -> str:
    """The setting whose folder failed."""
    if str(error.filename).startswith(str(settings.state_folder)):
        return f"FITSTOP_STATE_FOLDER={settings.state_folder}"
    return f"FITSTOP_VOLUME={settings.bucket or settings.volume}"


def count_together() -> None:
    """Let the processes count their requests together, in a folder that ends with us.

    prometheus-client reads the variable when it is imported, which each process does for itself.
    """
    folder = tempfile.mkdtemp(prefix="fitstop-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    atexit.register(_forget, folder, os.getpid())


def _forget(folder: str, owner: int) -> None:
    # A forked process that ends takes nothing away.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn with our settings; the app is made in each worker process, after the fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in gunicorn_options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        app = create_app(self._settings)
        strangers = Strangers(partial(shows_key, app), self._settings.trusted_proxies)
        return Application(app, self._settings.api_threads, strangers)


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """Gunicorn's settings. No max_requests: restarting a worker cuts its connections (gunicorn#3038)."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return {
        "bind": f"{host}:{settings.port}",
        "worker_class": "asgi",
        "asgi_loop": "asyncio",
        "asgi_lifespan": "off",
        "workers": settings.api_processes,
        "graceful_timeout": GRACEFUL_SECONDS,
        "limit_request_line": 8190,
        # gunicorn's default lets a client on this machine rewrite the path by a header SCRIPT_NAME or PATH_INFO.
        "forwarder_headers": "",
        # gunicorn trusts each client on this machine where nothing is said.
        "forwarded_allow_ips": settings.trusted_proxies,
        "control_socket_disable": True,
        "logger_class": PlainLogger,
        "loglevel": settings.log_level,
        "proc_name": "fitstop-api",
        "when_ready": _listen,
        "post_worker_init": _ready,
    }


def _listen(arbiter: Any) -> None:
    for listener in arbiter.LISTENERS:
        bound_writes(listener.sock)


def _ready(worker: Any) -> None:
    end_streams_with(worker)
    keep_long_queue(worker.loop, worker.cfg.backlog)
    sys.setswitchinterval(_SWITCH_SECONDS)
    # What is loaded by now stays: looking through all of it for garbage would stop every request for tens of
    # milliseconds. What a request leaves goes by itself but for few cycles, which are looked for more seldom.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 20)


def keep_long_queue(loop: asyncio.AbstractEventLoop, backlog: int) -> None:
    """Let `loop` listen with a queue of `backlog` new connections and accept few at a time, before it does.

    gunicorn names no queue, and asyncio's own 100 would drop others beside 2,000 at once. asyncio accepts as many in a
    row as the queue is long, and answers nobody meanwhile.
    """
    create_server = loop.create_server

    async def create(*args: Any, sock: socket.socket, **options: Any) -> asyncio.Server:
        server = await create_server(*args, sock=sock, backlog=_ACCEPTED_AT_ONCE, **options)
        sock.listen(backlog)
        return server

    loop.create_server = create  # type: ignore[method-assign,assignment]


def end_streams_with(worker: Any) -> None:
    """Let open event streams end when their process is asked to: else each stop waits out the graceful time-out."""
    Service.of(worker.asgi.app).is_stopping = lambda: not worker.alive


class PlainLogger(Logger):  # type: ignore[misc]
    """gunicorn's own words through our log, so that they too are one escaped line each."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self.error_log.propagate = True
        self.error_log.setLevel(cfg.loglevel.upper())
