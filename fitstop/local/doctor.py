"""The checks of `fitstop doctor`: whether this machine can run jobs. Each check returns one Finding, or several.

Checks that need NVIDIA's library or TensorFlow are in `worker.machine.doctor`, and those of a bucket in
`shared.store.trial`. They run as processes of the service.
"""

import errno
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from io import BufferedRWPair
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from fitstop.client import Client
from fitstop.connection import Connection, read_cli_json
from fitstop.errors import ClientError
from fitstop.local.ports import DEFAULT_PORT
from fitstop.local.redis_server import NO_REDIS, NONE, find_redis_server
from fitstop.service import run_service

Status = Literal["ok", "warning", "problem"]
_LEAST_FREE_BYTES = 1024**3
_WELL_FREE_BYTES = 10 * 1024**3
_PROBE_BYTES = 16 * 1024**2
_SLOW_SECONDS = 0.1
_LEAST_SHM_BYTES = 16 * 1024**2
_MOST_CLOCK_SECONDS = 2.0
# Longer than the limit of the training test in it (worker.machine.trial).
_DEVICE_SECONDS = 2000
_BUCKET_SECONDS = 900
_REDIS_PORT = 6379


@dataclass(frozen=True)
class Finding:
    """The result of one check. `fix` says how to fix a problem."""

    name: str
    status: Status
    detail: str
    fix: str = ""

    def document(self) -> dict[str, str]:
        """For `-o json`."""
        return asdict(self)


def run_checks(volume: str, data: Path, environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Run every check, the quick ones first. On a GPU whose driver must compile, the last checks take minutes."""
    yield check_provider(environment)
    yield from check_service(data)
    if "://" in volume:
        yield from check_bucket(volume)
        # The disk with the copies of the bucket's files, which jobs read and write.
        yield replace(check_volume(data), name="disk")
    else:
        yield check_volume(Path(volume))
        yield check_place(Path(volume), environment)
    yield from check_redis(environment.get("FITSTOP_REDIS_URL", ""))
    yield check_shared_memory()
    yield from check_device()


# The machine


def check_provider(environment: Mapping[str, str] = os.environ) -> Finding:
    """The provider of this machine, and the address to open."""
    port = environment.get("FITSTOP_PORT") or environment.get("PORT") or str(DEFAULT_PORT)
    pod = environment.get("RUNPOD_POD_ID")
    if pod:
        return Finding("machine", "ok", f"RunPod; open https://{pod}-{port}.proxy.runpod.net")
    if environment.get("PUBLIC_IPADDR") or environment.get("VAST_CONTAINERLABEL"):
        return _vast(environment, port)
    kind = "a container" if _is_container() else "your own machine or a VM"
    return Finding("machine", "ok", f"{kind}; open http://127.0.0.1:{port}, from another machine through an SSH tunnel")


def _vast(environment: Mapping[str, str], port: str) -> Finding:
    public, address = environment.get(f"VAST_TCP_PORT_{port}"), environment.get("PUBLIC_IPADDR")
    if not public or not address:
        fix = f"start the instance with -p {port}:{port}"
        return Finding("machine", "warning", f"Vast.ai; port {port} is not mapped to a public one", fix)
    fix = "for anything but a test, use an SSH tunnel or Vast's own HTTPS portal"
    return Finding("machine", "warning", f"Vast.ai; open http://{address}:{public}, which is not encrypted", fix)


def _is_container() -> bool:
    is_marked = Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
    except OSError:
        return is_marked
    return is_container(mounts, is_marked=is_marked)


def is_container(mounts: str, *, is_marked: bool) -> bool:
    """Whether `/proc/self/mountinfo` shows a container: an overlay root, or a marker file and a root that is no disk.

    The marker alone is not enough, because a small VM that was made from an image has it, too.
    """
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[4] == "/":
            kind, source = after.split()[:2]
            is_whole_disk = source.startswith("/dev/") and before.split()[3] == "/"
            return "overlay" in kind or (is_marked and not is_whole_disk)
    return is_marked


def check_service(data: Path) -> Iterator[Finding]:
    """Whether the service that `fitstop up` runs on this folder is ready for jobs; nothing if none answers."""
    stack = read_cli_json(data)
    if stack is None:
        return
    with Client(Connection(stack.url, stack.api_key, str(data))) as client:
        try:
            checks = client.ready()["checks"]
        except (ClientError, LookupError):
            return
    problems = [f"{name}: {one['detail']}" for name, one in checks.items() if not one["ok"]]
    if problems:
        yield Finding("service", "problem", f"{stack.url}: {'; '.join(problems)}", f"see the logs in {data / 'logs'}")
    else:
        yield Finding("service", "ok", f"{stack.url} is ready for jobs")


def check_shared_memory(folder: Path = Path("/dev/shm")) -> Finding:  # noqa: S108  looked at, not written
    """Whether enough shared memory is free; Docker's default is 64 MB."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(
            "shared memory", "warning", f"{folder}: {error.strerror}", "start the container with --shm-size 1g"
        )
    if free < _LEAST_SHM_BYTES:
        return Finding("shared memory", "warning", f"{_size(free)} free", "start the container with --shm-size 1g")
    return Finding("shared memory", "ok", f"{_size(free)} free")


# The volume


def check_volume(volume: Path) -> Finding:
    """Whether the service can write there, how fast, and how much space is free."""
    folder = _nearest(volume)
    try:
        with _probe_folder(folder) as probe:
            megabytes_per_second, save_seconds = _measure(probe)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return _unwritable(folder, error)
    detail = (
        f"{volume}: {_size(free)} free, writes {megabytes_per_second:.0f} MB/s, "
        f"saves a small file in {save_seconds * 1000:.1f} ms"
    )
    if free < _LEAST_FREE_BYTES:
        return Finding("volume", "problem", detail, "free space or use a larger volume; jobs wait while it is full")
    if free < _WELL_FREE_BYTES:
        return Finding("volume", "warning", detail, "checkpoints and data need room; make the volume larger")
    if save_seconds > _SLOW_SECONDS:
        return Finding("volume", "warning", detail, "use a disk closer to this machine to write checkpoints faster")
    return Finding("volume", "ok", detail)


def _nearest(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    folder = folder.resolve()
    return next(one for one in (folder, *folder.parents) if one.is_dir())


@contextmanager
def _probe_folder(folder: Path) -> Iterator[Path]:
    probe = Path(tempfile.mkdtemp(prefix=".doctor-", suffix=".tmp", dir=folder))
    try:
        yield probe
    finally:
        shutil.rmtree(probe, ignore_errors=True)


def _measure(probe: Path) -> tuple[float, float]:
    """MB/s of a large write with fsync, and seconds for one small durable file as the service creates them."""
    began = time.monotonic()
    _write_synced(probe / "large", os.urandom(_PROBE_BYTES))
    speed = _PROBE_BYTES / 1e6 / (time.monotonic() - began)
    times = []
    for number in range(9):
        began = time.monotonic()
        _write_synced(probe / "small", b"{}\n")
        os.link(probe / "small", probe / str(number))
        (probe / "small").unlink()
        _sync(probe)
        times.append(time.monotonic() - began)
    return speed, sorted(times)[len(times) // 2]


def _write_synced(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(folder: Path, error: OSError) -> Finding:
    fixes = {
        errno.ENOSPC: "free space or use a larger volume; jobs wait while it is full",
        errno.EDQUOT: "free some space or ask for a larger quota; jobs wait while it is full",
        errno.EROFS: "mount it with write access",
        errno.EACCES: f"run `chown {os.getuid()}` on the folder that is mounted",
        errno.EPERM: "use a filesystem that supports hard links; FAT and some network filesystems do not",
    }
    fix = fixes.get(error.errno or 0, "fix the mount, or set FITSTOP_VOLUME to another folder")
    return Finding("volume", "problem", f"{folder} cannot be written: {error.strerror}", fix)


def check_place(volume: Path, environment: Mapping[str, str] = os.environ) -> Finding:
    """Whether the volume stays when the container is removed."""
    if not _is_container() and not environment.get("RUNPOD_POD_ID"):
        return Finding("volume's place", "ok", "this machine's own filesystem or a mount")
    folder = _nearest(volume)
    if folder.stat().st_dev == Path("/").stat().st_dev:
        fix = "mount a volume and set FITSTOP_DATA to a folder in it (on RunPod /workspace/fitstop)"
        return Finding("volume's place", "warning", f"{folder} is on the container's own disk and is lost with it", fix)
    return Finding("volume's place", "ok", f"{folder} is mounted and outlives the container")


# Redis


# The fix for each beginning of Redis's own error.
_FIX_OF_ANSWER = {
    ("NOPERM",): "give Redis's user the rights that docker/entrypoint gives it (ACL SETUSER)",
    ("NOAUTH", "WRONGPASS"): "fix the password in FITSTOP_REDIS_URL; it must match Redis's `requirepass`",
}


def check_redis(url: str) -> list[Finding]:
    """Whether the Redis in FITSTOP_REDIS_URL accepts us, and its clock; without it, whether `up` finds a Redis."""
    if url == NONE:
        detail = "no Redis configured; workers check the volume every FITSTOP_SWEEP_SECONDS"
        return [Finding("Redis", "ok", detail), _clock(None)]
    if not url:
        program = find_redis_server()
        if program is None:
            return [Finding("Redis", "problem", "not installed here, and FITSTOP_REDIS_URL is not set", NO_REDIS)]
        return [Finding("Redis", "ok", f"`fitstop up` starts its own: {program}"), _clock(None)]
    parts = urlsplit(url)
    place = f"{parts.hostname}:{parts.port or _REDIS_PORT}"
    try:
        elsewhere = read_redis_clock(url)
    except (OSError, ValueError) as error:
        return [Finding("Redis", "problem", f"{place}: {_message_of(error)}", _redis_fix(error)), _clock(None)]
    return [Finding("Redis", "ok", f"{place} answers"), _clock(elsewhere - time.time())]


def _message_of(error: Exception) -> str:
    """The message without the error number that Python puts first."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _redis_fix(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "set ssl_ca_certs in FITSTOP_REDIS_URL to the authority that signed Redis's certificate"
    if isinstance(error, TimeoutError) and "handshake" in str(error):
        return "the program on that port does not speak TLS: use the TLS port, or redis:// instead of rediss://"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there: start Redis or the tunnel to it, or fix the address in FITSTOP_REDIS_URL"
    if isinstance(error, OSError):
        return "fix the address in FITSTOP_REDIS_URL, or the network and firewall between this machine and Redis"
    return next(
        (fix for codes, fix in _FIX_OF_ANSWER.items() if str(error).startswith(codes)),
        "the program there may not be Redis: fix the address in FITSTOP_REDIS_URL",
    )


def read_redis_clock(url: str, seconds: float = 3) -> float:
    """The time on the clock of that Redis, in seconds. Raises OSError, or ValueError with Redis's error."""
    parts = urlsplit(url)
    with ExitStack() as stack:
        address = (parts.hostname or "127.0.0.1", parts.port or _REDIS_PORT)
        connection = stack.enter_context(socket.create_connection(address, timeout=seconds))
        if parts.scheme == "rediss":
            connection = stack.enter_context(_encrypt(connection, url))
        talk = stack.enter_context(connection.makefile("rwb"))
        if parts.password:
            user = unquote(parts.username) if parts.username else "default"
            _send_command(talk, "AUTH", user, unquote(parts.password))
        _send_command(talk, "PING")
        _send_command(talk, "TIME")
        _, now = talk.readline(), talk.readline()
        return float(now)


def _send_command(talk: BufferedRWPair, *words: str) -> None:
    """Send a command. Raises ValueError with Redis's error."""
    raw = [word.encode() for word in words]
    talk.write(b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in raw))
    talk.flush()
    line = talk.readline().strip()
    if not line.startswith((b"+", b"*")):
        raise ValueError(line.decode(errors="replace").lstrip("-") or "it closed the connection")


def _encrypt(plain: socket.socket, url: str) -> ssl.SSLSocket:
    parts = urlsplit(url)
    authority = parse_qs(parts.query).get("ssl_ca_certs", [None])[0]
    return ssl.create_default_context(cafile=authority).wrap_socket(plain, server_hostname=parts.hostname)


def _clock(ahead_seconds: float | None) -> Finding:
    """The finding about the clock. No decision compares two clocks, but a wrong one breaks times and certificates."""
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    if time.gmtime().tm_year < 2026:
        return Finding("clock", "problem", now, "set the clock; TLS refuses every certificate")
    if ahead_seconds is None:
        return Finding("clock", "ok", f"{now}; there is no other clock to compare with")
    if abs(ahead_seconds) > _MOST_CLOCK_SECONDS:
        return Finding(
            "clock", "warning", f"{now}; Redis's clock differs by {ahead_seconds:+.0f} s", "set both with NTP"
        )
    return Finding("clock", "ok", f"{now}, the same as Redis's")


# The device


def check_device() -> list[Finding]:
    """The findings of `worker.machine.doctor`, which is a separate process because it needs the worker's libraries."""
    try:
        done = run_service("worker.machine.doctor", seconds=_DEVICE_SECONDS)
        return [Finding(**one) for one in json.loads(done.stdout)]
    except subprocess.TimeoutExpired:
        fix = "run `python -m fitstop.service worker.machine.doctor` to see where it hangs"
        return [Finding("device", "problem", "no answer in half an hour", fix)]
    except (ValueError, TypeError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        fix = "install the worker: pip install 'fitstop[gpu]', or 'fitstop[worker]' for a machine without a GPU"
        return [Finding("device", "problem", f"the worker's check did not run: {last}", fix)]


# A bucket


def check_bucket(address: str) -> Iterator[Finding]:
    """The finding of `shared.store.trial`, a separate process because it needs the service's libraries."""
    try:
        done = run_service("shared.store.trial", address, seconds=_BUCKET_SECONDS)
        yield Finding(**json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        fix = "check the network between this machine and the bucket"
        yield Finding("bucket", "problem", f"the check took longer than {_BUCKET_SECONDS // 60} minutes", fix)
    except (ValueError, TypeError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        fix = "install the service: pip install 'fitstop[local]', or 'fitstop[api]' without a worker"
        yield Finding("bucket", "problem", f"the check did not run: {last}", fix)


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
