"""Can clients stop the API, without a key or with one? `python -m proofs.hostile_clients`.

Each attack opens its connections at once and keeps them for some seconds. Meanwhile `GET /healthz` is requested, each
time on a new connection, in turn from the API and from a server that is not attacked. The times of that server show how
busy the machine is. Prints the times of both, and the sockets and memory of the API's processes.
"""

import argparse
import http.client
import math
import multiprocessing
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.keys import AUTHORIZATION
from tests.support.redis import running_redis
from tests.support.worst_bodies import worst_bodies

MOST_MILLISECONDS = 200
# A process that is not attacked holds about 80.
MOST_MEGABYTES = 300
_DRIP_SECONDS = 0.5
_PROCESSES = multiprocessing.get_context("spawn")
_LARGE_FILE = b"GET /page/static/vendor/uPlot.esm.js HTTP/1.1\r\nHost: x\r\n\r\n"
_SIGN_IN = b"POST /page/sign-in HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nContent-Type: application/json\r\n"
_HEAD = b"Host: x\r\n\r\n"
_KEYED = f"Host: x\r\nAuthorization: {AUTHORIZATION['Authorization']}\r\n".encode()
_WORST = worst_bodies(256 * 1024)["unknown fields like a known one"]


@dataclass(frozen=True)
class Attack:
    """A number of connections that each send `first`, and then `drip` repeatedly."""

    name: str
    connections: int
    first: bytes
    drip: bytes = b""


def _with_key(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + _KEYED + b"\r\n" + body


NO_ATTACK = Attack("no attack", 0, b"")
ATTACKS = [
    Attack("pipelines of 60 GETs that are never read", 400, _LARGE_FILE * 60),
    Attack("silent connections", 2000, b""),
    Attack("sign-ins of one byte", 390, _SIGN_IN + b"Content-Length: 50\r\n\r\n{"),
    Attack("heads that never end", 400, b"GET / HTTP/1.1\r\nX-", b"a"),
    Attack("bodies that never end", 390, _SIGN_IN + b"Content-Length: 5000\r\n\r\n{", b" "),
    Attack(
        "uploads in chunks of one byte",
        8,
        b"PUT /datasets/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 9000,
    ),
    # Each sends repeatedly, on one connection, what costs more to refuse than to send.
    Attack("paths of bytes that are no text", 200, (b"GET /" + b"%ff" * 2600 + b" HTTP/1.1\r\n" + _HEAD) * 8),
    Attack("paths of bytes that are no text, drop by drop", 200, b"", b"GET /%ff%ff HTTP/1.1\r\n" + _HEAD),
    Attack("wrong keys", 200, b"GET /jobs HTTP/1.1\r\nAuthorization: Bearer " + b"x" * 400 + b"\r\n" + _HEAD),
    Attack("wrong keys, drop by drop", 200, b"", b"GET /jobs HTTP/1.1\r\nAuthorization: Bearer x\r\n" + _HEAD),
    Attack("heads of a hundred fields", 200, b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 99 + _HEAD),
    Attack("queries of many parameters", 200, b"GET /jobs?" + b"a=1&" * 2000 + b" HTTP/1.1\r\n" + _HEAD),
    Attack("cookies of 8 kB", 200, b"GET / HTTP/1.1\r\nCookie: fitstop_session=" + b"y" * 8000 + b"\r\n" + _HEAD),
    Attack("lengths that contradict each other", 200, _SIGN_IN + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    Attack("TLS in place of HTTP", 200, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), b"\x00" * 50),
    Attack("HTTP/2 in place of HTTP/1.1", 200, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes(9)),
    Attack(
        "sign-ins that wait for 100 Continue", 200, _SIGN_IN + b"Expect: 100-continue\r\nContent-Length: 50\r\n\r\n"
    ),
    Attack("the worst bodies, with a key", 8, _with_key("POST", "/jobs?dry_run=true", _WORST) * 2),
    Attack(
        "bodies for a job that is not there, with a key", 50, _with_key("POST", "/jobs/x/replay", _WORST[:16000]) * 4
    ),
    Attack("streams of one key", 300, _with_key("GET", "/jobs/job_00000000000000000000000000/events")),
]


@dataclass(frozen=True)
class Seen:
    """During an attack: times of `GET /healthz`, those of a server without one, and what the API held at the end.

    The other server only answers, so its times are those of the machine. All times are in milliseconds.
    """

    taken: list[float]
    bare: list[float]
    sockets: int
    megabytes: float

    @property
    def p99(self) -> float:
        return percentile_99(self.taken)


def percentile_99(taken: list[float]) -> float:
    """The 99th percentile."""
    return sorted(taken)[int(len(taken) * 0.99)]


@dataclass(frozen=True)
class Measuring:
    """The attackers' separate process, so that its cost does not delay the measurements, and the bare server."""

    bare_port: int
    attackers: ProcessPoolExecutor

    def beside(self, attack: Attack, api: ApiProcess, seconds: float, share: float = 1.0) -> Seen:
        """Attack with a share of the connections, and measure."""
        until, taken, others = time.monotonic() + seconds, [], []
        count = math.ceil(attack.connections * share)
        attacking = self.attackers.submit(_attack, attack, api.port, count, seconds)
        while time.monotonic() < until:
            taken.append(_milliseconds_of_healthz(api.port))
            others.append(_milliseconds_of_healthz(self.bare_port))
            time.sleep(0.02)
        seen = Seen(taken, others, _sum(api, _sockets), _sum(api, _megabytes))
        attacking.result()
        return seen


@contextmanager
def measuring() -> Iterator[Measuring]:
    """Start the attackers' process and the server that is not attacked."""
    with _bare_server() as bare, ProcessPoolExecutor(1, _PROCESSES) as attackers:
        attackers.submit(int).result()
        yield Measuring(bare, attackers)


def _attack(attack: Attack, port: int, count: int, seconds: float) -> None:
    until, opened = time.monotonic() + seconds, []
    for _ in range(count):
        with suppress(OSError):
            opened.append(socket.create_connection(("127.0.0.1", port), timeout=5))
            opened[-1].settimeout(0.2)
            opened[-1].sendall(attack.first)
    while time.monotonic() < until:
        time.sleep(_DRIP_SECONDS)
        for client in opened if attack.drip else ():
            with suppress(OSError):
                client.send(attack.drip)
    for client in opened:
        client.close()


@contextmanager
def _bare_server() -> Iterator[int]:
    """Start a server that answers every connection in the same way, and yield its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        process = _PROCESSES.Process(target=_answer_all, args=(listener,), daemon=True)
        process.start()
        try:
            yield listener.getsockname()[1]
        finally:
            process.kill()
            process.join()


def _answer_all(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def _milliseconds_of_healthz(port: int) -> float:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    return (time.perf_counter() - began) * 1000


def _sum(api: ApiProcess, of: Callable[[int], float]) -> int:
    return round(sum(of(pid) for pid in api.workers()))


def _sockets(pid: int) -> int:
    return sum(1 for entry in Path(f"/proc/{pid}/fd").iterdir() if "socket" in str(_target(entry)))


def _target(entry: Path) -> Path | None:
    with suppress(OSError):
        return entry.readlink()
    return None


def _megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def main() -> int:
    """Exit status 0 only if p99 of `GET /healthz` and the memory stayed below the limits in each attack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each attack")
    parser.add_argument("--share", type=float, default=2.0, help="of each attack's connections")
    parser.add_argument("--only", default="", help="the attacks whose name has this text")
    parser.add_argument("--processes", default="1", help="of the API")
    asked = parser.parse_args()
    met = True
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as redis, measuring() as machine:
        place = Path(folder)
        api = ApiProcess(Volume(place / "volume"), redis.url, place / "log", FITSTOP_API_PROCESSES=asked.processes)
        api.start()
        try:
            for attack in (NO_ATTACK, *(one for one in ATTACKS if asked.only in one.name), NO_ATTACK):
                seen = machine.beside(attack, api, asked.seconds, asked.share)
                met &= seen.p99 < MOST_MILLISECONDS and seen.megabytes < MOST_MEGABYTES
                sys.stdout.write(
                    f"{attack.name}: p99 {seen.p99:.0f} ms, most {max(seen.taken):.0f} ms; "
                    f"a bare server's p99 {percentile_99(seen.bare):.0f} ms; "
                    f"the API holds {seen.sockets} sockets and {seen.megabytes} MB\n"
                )
                sys.stdout.flush()
        finally:
            api.stop()
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
