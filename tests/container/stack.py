"""docker-compose.yml without a GPU: the article's job, a kill of a worker's container, `down` and `up`."""

import io
import json
import struct
import zipfile
import zlib

from tests.container.support import (
    ARTICLE,
    LONG,
    Composed,
    Service,
    Work,
    holds,
    is_open,
    run,
    users_of,
    wait_for,
)

SERVICES = ("redis", "api", "webhooks", "worker")


def check(work: Work) -> None:
    compose = Composed("docker-compose.yml", "docker-compose.cpu.yml")
    for secret in ("REDIS_PASSWORD", "FITSTOP_ADMIN_KEY"):
        refused = compose("up", "-d", "--no-build", check=False, **{secret: ""})
        holds(f"without {secret} the stack refuses to start", refused.returncode and secret in refused.stderr)
    compose.up(*SERVICES)
    service = Service(compose.key)
    wait_for("the service is ready", service.is_ready)
    holds(
        "compose starts Redis, the API, the sender and a worker; all healthy",
        compose("ps", "-q").stdout.count("\n") == 4,
    )
    service.ask("PUT", "/datasets/wine", work.data, "text/csv")
    article = service.post(ARTICLE)
    done = service.ended(article)
    holds(f"the article's job ends: {done['stop']}", done["status"] == "succeeded")
    check_images(service)
    check_hardening()
    check_doctor()
    untouched = service.post(LONG)
    holds("an untouched long run ends", service.ended(untouched)["status"] == "succeeded")
    work.untouched.write_bytes(service.log(untouched))
    killed_in_the_middle(compose, service, work)
    holds_after_down_and_up(compose, service, article)
    compose("down", "-v", "-t", "20")


def check_images(service: Service) -> None:
    service.ask("PUT", "/datasets/dots", zip_of_dots(), "application/zip")
    done = service.ended(service.post({"dataset": {"id": "dots"}, "hyperparameters": {"epochs": 2}}))
    holds(f"a job on images ends: {done['error']}", done["status"] == "succeeded")
    cached = run("podman", "exec", "fitstop-worker-1", "ls", "/cache/images").stdout.split()
    holds("they were decoded into the volume for it, not into memory", any(one.endswith(".npy") for one in cached))


def zip_of_dots() -> bytes:
    """Dark and bright grey images of 16 x 16, as PNG, in two class folders."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for number in range(40):
            name = ("dark", "bright")[number % 2]
            archive.writestr(f"{name}/{number}.png", png_of(number if name == "dark" else 255 - number))
    return content.getvalue()


def png_of(grey: int, side: int = 16) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = (b"\0" + bytes([grey]) * side) * side
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def killed_in_the_middle(compose: Composed, service: Service, work: Work) -> None:
    job = service.post(LONG)
    wait_for("the run is under way", lambda: service.epoch(job) >= 20)
    run("podman", "kill", "-s", "KILL", "fitstop-worker-1")
    at = service.epoch(job)
    compose.up(*SERVICES)
    done = service.ended(job)
    holds(f"kill -9 of the worker's container at epoch {at} of 300: the job goes on in attempt {done['attempt']}",
          done["status"] == "succeeded" and done["attempt"] == 2 and at < 300)  # fmt: skip
    holds("and its log is that of the untouched run, byte by byte", service.log(job) == work.untouched.read_bytes())


def holds_after_down_and_up(compose: Composed, service: Service, job: str) -> None:
    before = service.job(job), service.ask("GET", f"/jobs/{job}/model")
    compose("down", "-t", "20")
    compose.up(*SERVICES)
    wait_for("the service is ready", service.is_ready)
    holds(
        "compose down and up keep job and model", (service.job(job), service.ask("GET", f"/jobs/{job}/model")) == before
    )


def check_hardening() -> None:
    names = [f"fitstop-{part}-1" for part in SERVICES]
    for name in names:
        holds(f"{name}: no process is root", set(users_of(name)) == {10001})
        wrote = run("podman", "exec", name, "touch", "/opt/probe", check=False)
        holds(f"{name}: its root is read-only", "Read-only" in wrote.stderr)
        capabilities = run("podman", "exec", name, "grep", "CapEff", "/proc/1/status").stdout.split()[1]
        holds(f"{name}: has no capabilities", int(capabilities, 16) == 0)
    published = run("podman", "ps", "--format", "{{.Names}} {{.Ports}}").stdout.split("\n")
    holds(f"only the API's port is published: {published}", [line for line in published if "->" in line] ==
          ["fitstop-api-1 127.0.0.1:8000->8000/tcp"])  # fmt: skip
    holds("Redis cannot be reached from the machine", not is_open(6379))


def check_doctor() -> None:
    """Check that the doctor in the worker's container warns only about the missing GPU."""
    said = run("podman", "exec", "fitstop-worker-1", "fitstop", "doctor", "-o", "json")
    found = {one["name"]: one for one in json.loads(said.stdout)["data"]}
    warned = [name for name, one in found.items() if one["status"] != "ok"]
    holds(f"the doctor warns of nothing but the GPU: {found}", warned == ["GPU"])
