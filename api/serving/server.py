"""The API under gunicorn: an event loop holds the connections, and a thread handles a complete request."""

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
from api.serving.anonymous import AnonymousClients
from api.serving.asgi import Application
from api.serving.connection import Connection, limit_writes
from api.serving.exposure import Exposed, check
from api.serving.stand_in import StandIn
from api.state.key_store import KeyStore
from api.state.service import Service
from api.state.state_folder import open_state_folder
from shared.durable import check_links
from shared.mirror.opening import BucketAway, BucketUnusable, wait_for_bucket
from shared.processes import hide_memory
from shared.settings import BadEnvironment, Settings, read_settings
from shared.volume import Volume

GRACEFUL_SECONDS = 5
# Seconds for which a thread keeps Python's global lock. The event loop waits for the lock after each system call.
_SWITCH_SECONDS = 0.001
# Number of new connections that the event loop accepts before it serves the others.
_ACCEPTED_AT_ONCE = 8
# Number of new objects after which Python collects garbage; its default is 700 in Python 3.11.
_NEW_OBJECTS = 20_000


def main() -> int:
    """Serve until a signal. Exit status 2 for an unusable environment, 1 for an unusable volume.

    Both are checked before the API listens. An API or a Redis that is open to everyone is an unusable environment.
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
        share_request_counts()
    # Each connection is an open file.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gasgi.ASGIProtocol = Connection
    Server(settings).run()
    return 0


def _check_folder(settings: Settings) -> None:
    """Raise OSError if the volume, or the local folder of a volume in a bucket, cannot be used."""
    if settings.bucket:
        settings.volume.mkdir(parents=True, exist_ok=True)
        check_links(settings.volume)
    else:
        check_links(Volume(settings.volume).root)


def _wait_for_bucket(settings: Settings) -> None:
    """Wait until the bucket answers; a StandIn serves meanwhile. Raises OSError for a permanent error."""
    # The first process of a container ignores a signal without a handler.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with StandIn(settings.host, settings.port) as stand_in:
        wait_for_bucket(lambda: _check_bucket(settings.bucket), stand_in.serve_for)
    signal.signal(signal.SIGTERM, before)


def _check_bucket(address: str) -> None:
    """Raise BucketAway or BucketUnusable with the reason. A child process opens the bucket: this one forks later."""
    command = [sys.executable, "-P", "-m", "shared.mirror", address]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        kind = BucketAway if done.returncode == os.EX_TEMPFAIL else BucketUnusable
        raise kind(errno.EREMOTEIO, done.stderr.strip())


def secrets_of(settings: Settings) -> list[str]:
    """The secrets of the settings and the environment, which no log line may contain."""
    password = urlsplit(settings.redis_url.get_secret_value()).password
    of_bucket = (os.environ.get(name) for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"))
    own = settings.admin_key and settings.admin_key.get_secret_value()
    return [text for text in (own, password, *of_bucket) if text]


def _reason_of(error: OSError) -> str:
    """The error text of the system, and the file."""
    return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)


def _place_of(error: OSError, settings: Settings) -> str:
    """The setting whose folder failed."""
    if str(error.filename).startswith(str(settings.state_folder)):
        return f"FITSTOP_STATE_FOLDER={settings.state_folder}"
    return f"FITSTOP_VOLUME={settings.bucket or settings.volume}"


def share_request_counts() -> None:
    """Share the request counts of all API processes in one folder, which is removed when this process exits.

    prometheus-client reads the variable when each process imports it.
    """
    folder = tempfile.mkdtemp(prefix="fitstop-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    atexit.register(_remove_folder, folder, os.getpid())


def _remove_folder(folder: str, owner: int) -> None:
    # Not at the exit of a forked process.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn with Fitstop's settings. Each of its worker processes creates the app after the fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in gunicorn_options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        app = create_app(self._settings)
        anonymous = AnonymousClients(partial(shows_key, app), self._settings.trusted_proxies)
        return Application(app, self._settings.api_threads, anonymous)


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
        # By default gunicorn lets a client on this machine change the path by a header SCRIPT_NAME or PATH_INFO.
        "forwarder_headers": "",
        # By default gunicorn trusts each client on this machine.
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
        limit_writes(listener.sock)


def _ready(worker: Any) -> None:
    end_streams_at_stop(worker)
    keep_long_queue(worker.loop, worker.cfg.backlog)
    sys.setswitchinterval(_SWITCH_SECONDS)
    # The current objects stay: searching them for garbage would stop every request for tens of milliseconds.
    # Those of a request are freed by their reference counts, except for few cycles, so garbage is collected less often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 20)


def keep_long_queue(loop: asyncio.AbstractEventLoop, backlog: int) -> None:
    """Make `loop` listen with a queue of `backlog` new connections, and accept few of them at a time.

    gunicorn sets no length. With asyncio's default of 100, connections are dropped if 2,000 clients connect at once.
    asyncio accepts as many in a row as the queue is long, and serves no others in the meantime. Call this before `loop`
    listens.
    """
    create_server = loop.create_server

    async def create(*args: Any, sock: socket.socket, **options: Any) -> asyncio.Server:
        server = await create_server(*args, sock=sock, backlog=_ACCEPTED_AT_ONCE, **options)
        sock.listen(backlog)
        return server

    loop.create_server = create  # type: ignore[method-assign,assignment]


def end_streams_at_stop(worker: Any) -> None:
    """End open event streams when their process is stopped. Otherwise each stop takes the whole graceful time-out."""
    Service.of(worker.asgi.app).is_stopping = lambda: not worker.alive


class PlainLogger(Logger):  # type: ignore[misc]
    """gunicorn's messages in Fitstop's log, so that each is one escaped line, too."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self.error_log.propagate = True
        self.error_log.setLevel(cfg.loglevel.upper())
