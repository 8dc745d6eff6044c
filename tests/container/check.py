"""Run the built image as the compose files and as one container, and look: only the standard library, see `run`."""

import csv
import json
import math
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

IMAGE = "localhost/fitstop:cpu"
URL = "http://127.0.0.1:8000"
ARTICLE = {"dataset": {"id": "wine", "target": "quality", "positive": {"at_least": 6}}}
LONG = {**ARTICLE, "hyperparameters": {"epochs": 300}, "callbacks": {"early_stopping": None}}


class Service:
    """The API over HTTP, as a client sees it."""

    def __init__(self, key: str) -> None:
        self._key = key

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": kind}
        request = urllib.request.Request(URL + path, body, headers, method=method)
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


def wait_for(what: str, is_so, within: float = 180) -> None:
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


def made_up_wine(path: Path) -> Path:
    """As many rows as the wine has, and about as hard to learn."""
    chance = random.Random(1)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*(f"x{n}" for n in range(11)), "quality"])
        for _ in range(6497):
            values = [chance.gauss(0, 1) for _ in range(11)]
            score = values[0] * values[1] + math.sin(values[2]) + values[3] + chance.gauss(0, 1)
            rows.writerow([*(f"{value:.4f}" for value in values), round(5.8 + score / 2)])
    return path


class Composed:
    """docker-compose.yml without a GPU."""

    def __init__(self) -> None:
        self.key, self.password = secrets.token_hex(32), secrets.token_hex(32)
        self.environment = {
            "FITSTOP_IMAGE": IMAGE, "FITSTOP_ADMIN_KEY": self.key, "REDIS_PASSWORD": self.password,
        }  # fmt: skip

    def __call__(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        files = ["-f", "docker-compose.yml", "-f", "docker-compose.cpu.yml"]
        return run(os.environ["COMPOSE"], *files, *arguments, check=check, **{**self.environment, **environment})

    def up(self) -> None:
        self("up", "-d", "--no-build", "--wait", "--wait-timeout", "240", "redis", "api", "worker")


def check_compose(data: bytes) -> bytes:
    """Everything about the composed service; answers the log of an untouched long run."""
    compose = Composed()
    refused = compose("config", "-q", check=False, REDIS_PASSWORD="")
    holds("without a password the stack refuses to start", refused.returncode and "REDIS_PASSWORD" in refused.stderr)
    compose.up()
    service = Service(compose.key)
    wait_for("the service is ready", service.is_ready)
    holds("compose starts Redis, the API and a worker; all healthy", compose("ps", "-q").stdout.count("\n") == 3)
    service.ask("PUT", "/datasets/wine", data, "text/csv")
    article = service.post(ARTICLE)
    done = service.ended(article)
    holds(f"the article's job ends: {done['stop']}", done["status"] == "succeeded")
    check_hardening()
    untouched = service.post(LONG)
    killed_in_the_middle(compose, service, untouched)
    holds_after_down_and_up(compose, service, article)
    log = service.log(untouched)
    compose("down", "-v", "-t", "20")
    return log


def killed_in_the_middle(compose: Composed, service: Service, untouched: str) -> None:
    holds("an untouched long run ends", service.ended(untouched)["status"] == "succeeded")
    job = service.post(LONG)
    wait_for("the run is under way", lambda: service.epoch(job) >= 20)
    run("podman", "kill", "-s", "KILL", "fitstop-worker-1")
    at = service.epoch(job)
    compose.up()
    done = service.ended(job)
    holds(f"kill -9 of the worker's container at epoch {at} of 300: the job goes on in attempt {done['attempt']}",
          done["status"] == "succeeded" and done["attempt"] == 2 and at < 300)  # fmt: skip
    holds("and its log is that of the untouched run, byte by byte", service.log(job) == service.log(untouched))


def holds_after_down_and_up(compose: Composed, service: Service, job: str) -> None:
    before = service.job(job), service.ask("GET", f"/jobs/{job}/model")
    compose("down", "-t", "20")
    compose.up()
    wait_for("the service is ready", service.is_ready)
    holds(
        "compose down and up keep job and model", (service.job(job), service.ask("GET", f"/jobs/{job}/model")) == before
    )


def check_hardening() -> None:
    names = [f"fitstop-{part}-1" for part in ("redis", "api", "worker")]
    for name in names:
        holds(f"{name}: no process is root", set(users_of(name)) == {10001})
        wrote = run("podman", "exec", name, "touch", "/opt/probe", check=False)
        holds(f"{name}: its root is read-only", "Read-only" in wrote.stderr)
    published = run("podman", "ps", "--format", "{{.Names}} {{.Ports}}").stdout.split("\n")
    holds(f"only the API's port is published: {published}", [line for line in published if "->" in line] ==
          ["fitstop-api-1 127.0.0.1:8000->8000/tcp"])  # fmt: skip
    holds("Redis cannot be reached from the machine", not is_open(6379))
    sbom = json.loads(run("podman", "exec", names[1], "cat", "/usr/local/share/fitstop/sbom.cdx.json").stdout)
    holds(f"the SBOM lists {len(sbom['components'])} components", len(sbom["components"]) > 150)


def users_of(name: str) -> list[int]:
    """The users of every process of a container, without an entrypoint that is root's.

    What is run in it from outside, as health checks are, does not count.
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


class OneContainer:
    """Mode `all` as RunPod and Vast.ai run it: one container, started as root, a volume that belongs to root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "fitstop"

    def start(self) -> Service:
        run("podman", "run", "-d", "--name", "box", "-p", "8000:8000", "-v", f"{self.folder}:/workspace",
            "-e", "FITSTOP_DATA=/workspace/fitstop", IMAGE)  # fmt: skip
        wait_for("the key is made", (self.data / "admin_key").exists)
        service = Service((self.data / "admin_key").read_text().strip())
        wait_for("the service is ready", service.is_ready)
        return service

    def stop(self) -> float:
        began = time.monotonic()
        run("podman", "stop", "-t", "30", "box")
        seconds = time.monotonic() - began
        said = run("podman", "logs", "box").stdout
        assert "everything has ended" in said, said
        run("podman", "rm", "box")
        return seconds


def check_one_container(work: Path, data: bytes, untouched: bytes) -> None:
    folder = work / "workspace"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    box = OneContainer(folder)
    service = box.start()
    holds("one container on a volume of root's: no process but the entrypoint is root", set(users_of("box")) == {10001})
    service.ask("PUT", "/datasets/wine", data, "text/csv")
    holds("the article's job ends", service.ended(service.post(ARTICLE))["status"] == "succeeded")
    job = service.post(LONG)
    wait_for("the run is under way", lambda: service.epoch(job) >= 20)
    seconds = box.stop()
    logs = box.data / "logs"
    last = [(logs / f"{part}.log").stat().st_mtime for part in ("worker", "api", "redis")]
    holds(f"SIGTERM in the middle of a job: all has ended after {seconds:.1f} s", seconds < 10)
    holds("in the order worker, API, Redis", last == sorted(last))
    service = box.start()
    done = service.ended(job)
    holds(f"started again the job goes on (attempt {done['attempt']}) and ends",
          (done["status"], done["attempt"]) == ("succeeded", 2))  # fmt: skip
    holds("and its log is that of the untouched run, byte by byte", service.log(job) == untouched)
    box.stop()
    shutil.rmtree(folder)


def main() -> None:
    work = Path(sys.argv[1])
    given = sys.argv[2] if len(sys.argv) > 2 else ""
    data = (Path(given) if given else made_up_wine(work / "wine.csv")).read_bytes()
    untouched = check_compose(data)
    check_one_container(work, data, untouched)
    print("container-test: all of it holds")


if __name__ == "__main__":
    main()
