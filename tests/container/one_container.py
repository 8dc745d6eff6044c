"""Mode `all` as RunPod and Vast.ai run it: one container, started as root, with a volume that belongs to root."""

import json
import shutil
import time
from pathlib import Path

from tests.container.support import ARTICLE, IMAGE, LONG, Service, Work, holds, run, users_of, wait_for

# The options of a platform that replaces the image's entrypoint by its own program.
REPLACED = ("--entrypoint", "/bin/sh", "-e", "PORT=9000")


class Box:
    """The container and its volume."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "fitstop"

    def start(self) -> Service:
        """Start it with the image's own entrypoint and port."""
        return self._start("8000", [], [])

    def start_replaced(self) -> Service:
        """Start it with a shell as entrypoint, which runs ours, and with the port in PORT."""
        return self._start("9000", [*REPLACED], ["-c", "entrypoint all; echo ended with $?"])

    def _start(self, port: str, options: list[str], command: list[str]) -> Service:
        run("podman", "run", "-d", "--name", "box", "-p", f"{port}:{port}", "-v", f"{self.folder}:/workspace",
            "-e", "FITSTOP_DATA=/workspace/fitstop", *options, IMAGE, *command)  # fmt: skip
        wait_for("the key is made", (self.data / "admin_key").exists)
        service = Service((self.data / "admin_key").read_text().strip(), f"http://127.0.0.1:{port}")
        wait_for("the service is ready", service.is_ready)
        return service

    def stop(self) -> float:
        """Send SIGTERM, and return the seconds until everything has ended."""
        began = time.monotonic()
        run("podman", "stop", "-t", "30", "box")
        seconds = time.monotonic() - began
        said = run("podman", "logs", "box").stdout
        holds("it says that it has stopped", "stopped; the data stays in" in said)
        run("podman", "rm", "box")
        return seconds

    def last_words(self) -> list[float]:
        """The times of the last log lines of worker, API and Redis, in seconds since 1970."""
        return [(self.data / "logs" / f"{part}.log").stat().st_mtime for part in ("worker", "api", "redis")]


def check(work: Work) -> None:
    folder = work.folder / "workspace"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    box = Box(folder)
    service = box.start()
    holds("a volume of root's: no process but the entrypoint is root", set(users_of("box")) == {10001})
    holds("its health check passes", run("podman", "healthcheck", "run", "box", check=False).returncode == 0)
    service.ask("PUT", "/datasets/wine", work.data, "text/csv")
    holds("the article's job ends", service.ended(service.post(ARTICLE))["status"] == "succeeded")
    check_doctor()
    if not work.untouched.exists():
        untouched = service.post(LONG)
        service.ended(untouched)
        work.untouched.write_bytes(service.log(untouched))
    check_interrupted(box, service, work)
    shutil.rmtree(folder)


def check_interrupted(box: Box, service: Service, work: Work) -> None:
    job = service.post(LONG)
    wait_for("the run is under way", lambda: service.epoch(job) >= 20)
    seconds = box.stop()
    last = box.last_words()
    holds(f"SIGTERM in the middle of a job: all has ended after {seconds:.1f} s", seconds < 10)
    holds("in the order worker, API, Redis", last == sorted(last))
    service = box.start_replaced()
    holds("with a shell in the entrypoint's place no process of ours is root", set(users_of("box")) == {10001})
    holds("the health check follows PORT", run("podman", "healthcheck", "run", "box", check=False).returncode == 0)
    done = service.ended(job)
    holds(f"started again the job goes on (attempt {done['attempt']}) and ends",
          (done["status"], done["attempt"]) == ("succeeded", 2))  # fmt: skip
    holds("and its log is that of the untouched run, byte by byte", service.log(job) == work.untouched.read_bytes())
    run("podman", "kill", "-s", "KILL", "box")
    run("podman", "rm", "box")


def check_doctor() -> None:
    said = run("podman", "exec", "box", "fitstop", "doctor", "-o", "json")
    found = {one["name"]: one for one in json.loads(said.stdout)["data"]}
    warned = [name for name, one in found.items() if one["status"] != "ok"]
    holds(f"the doctor warns of nothing but the GPU: {found}", warned == ["GPU"])
