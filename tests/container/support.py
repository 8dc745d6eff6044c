"""Helpers of the checks: the API as a client sees it, commands, and processes seen from outside."""

import csv
import json
import math
import os
import random
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

IMAGE = "localhost/fitstop:cpu"
URL = "http://127.0.0.1:8000"
ARTICLE = {"dataset": {"id": "wine", "target": "quality", "positive": {"at_least": 6}}}
LONG = {**ARTICLE, "hyperparameters": {"epochs": 300}, "callbacks": {"early_stopping": None}}


@dataclass(frozen=True)
class Work:
    """The folder for files of the checks, and the content of the CSV file to train on."""

    folder: Path
    data: bytes

    @property
    def untouched(self) -> Path:
        """The log of the uninterrupted long run, once a part has run it."""
        return self.folder / "untouched.csv"


class Service:
    """The API over HTTP, as a client sees it."""

    def __init__(self, key: str, url: str = URL) -> None:
        self._key = key
        self._url = url

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": kind}
        request = urllib.request.Request(self._url + path, body, headers, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return answer.read()

    def is_ready(self) -> bool:
        try:
            return json.loads(self.ask("GET", "/readyz"))["status"] == "ready"
        except (OSError, ValueError):
            return False

    def post(self, spec: dict) -> str:
        return json.loads(self.ask("POST", "/jobs", json.dumps(spec).encode()))["id"]

    def job(self, job: str) -> dict:
        return json.loads(self.ask("GET", f"/jobs/{job}"))

    def log(self, job: str) -> bytes:
        return self.ask("GET", f"/jobs/{job}/training_log.csv")

    def epoch(self, job: str) -> int:
        return (self.job(job)["progress"] or {"epoch": 0})["epoch"]

    def ended(self, job: str, within: float = 300) -> dict:
        wait_for(f"{job} ends", lambda: self.job(job)["status"] in {"succeeded", "failed", "cancelled"}, within)
        return self.job(job)


def wait_for(what: str, is_so: Callable[[], object], within: float = 180) -> None:
    deadline = time.monotonic() + within
    while True:
        try:
            if is_so():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {within:g} s: {what}")
        time.sleep(0.2)


def holds(what: str, is_so: object) -> None:
    print(("ok      " if is_so else "FAILED  ") + what, flush=True)
    if not is_so:
        raise SystemExit(1)


def run(*command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
    done = subprocess.run(command, check=False, env={**os.environ, **environment}, capture_output=True, text=True)
    if check and done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


class Composed:
    """Compose files with their own key and password, and the CPU image."""

    def __init__(self, *files: str) -> None:
        self.key, self.password = secrets.token_hex(32), secrets.token_hex(32)
        self.environment = {"FITSTOP_IMAGE": IMAGE, "FITSTOP_ADMIN_KEY": self.key, "REDIS_PASSWORD": self.password}
        self._files = [word for file in files for word in ("-f", file)]

    def __call__(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        command = [os.environ["COMPOSE"], *self._files, *arguments]
        return run(*command, check=check, **{**self.environment, **environment})

    def up(self, *services: str) -> None:
        self("up", "-d", "--no-build", "--wait", "--wait-timeout", "240", *services)


def made_up_wine(path: Path) -> Path:
    """Write data with as many rows as the wine data, and about as hard to learn."""
    chance = random.Random(1)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*(f"x{n}" for n in range(11)), "quality"])
        for _ in range(6497):
            values = [chance.gauss(0, 1) for _ in range(11)]
            score = values[0] * values[1] + math.sin(values[2]) + values[3] + chance.gauss(0, 1)
            rows.writerow([*(f"{value:.4f}" for value in values), round(5.8 + score / 2)])
    return path


def users_of(name: str) -> list[int]:
    """The users of all processes of a container, without the entrypoint if it runs as root.

    Processes that are started from outside, such as health checks, do not count.
    """
    first = int(run("podman", "inspect", "-f", "{{.State.Pid}}", name).stdout)
    facts = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            lines = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines())
        except OSError:  # it has ended
            continue
        facts[int(entry.name)] = int(lines["PPid"]), int(lines["Uid"].split()[0])
    found = [facts[pid][1] for pid in facts if pid != first and is_below(pid, first, facts)]
    return found if facts[first][1] == 0 else [*found, facts[first][1]]


def is_below(pid: int, ancestor: int, facts: dict[int, tuple[int, int]]) -> bool:
    while pid in facts and pid != ancestor:
        pid = facts[pid][0]
    return pid == ancestor


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
