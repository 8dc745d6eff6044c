"""Can clients without a key stop the API? `python -m proofs.hostile_clients`.

Each attack opens its connections at once and keeps them for some seconds. Meanwhile `GET /healthz` is asked for from
outside, each time on a connection of its own. Printed are its times, what the API's processes hold afterwards, and
whether the attack was met.
"""

import argparse
import http.client
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.redis import running_redis

MOST_MILLISECONDS = 200
_DRIP_SECONDS = 0.5
_LARGE_FILE = b"GET /page/static/vendor/uPlot.esm.js HTTP/1.1\r\nHost: x\r\n\r\n"
_SIGN_IN = b"POST /page/sign-in HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True)
class Attack:
    """So many connections that each send `first`, and `drip` again and again."""

    name: str
    connections: int
    first: bytes
    drip: bytes = b""


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
]


@dataclass(frozen=True)
class Seen:
    """The times of `GET /healthz` beside an attack, in milliseconds, and what was held at the end."""

    taken: list[float]
    sockets: int
    megabytes: float

    @property
    def p99(self) -> float:
        return sorted(self.taken)[int(len(self.taken) * 0.99)]


def beside(attack: Attack, api: ApiProcess, seconds: float, share: float = 1.0) -> Seen:
    """Attack with a share of the connections."""
    with _attackers(attack, api.port, max(1, round(attack.connections * share))):
        until, taken = time.monotonic() + seconds, []
        while time.monotonic() < until:
            taken.append(_milliseconds_of_healthz(api))
            time.sleep(0.02)
        return Seen(taken, _sum(api, _sockets), _sum(api, _megabytes))


@contextmanager
def _attackers(attack: Attack, port: int, count: int) -> Iterator[None]:
    opened: list[socket.socket] = []
    over = threading.Event()

    def run() -> None:
        for _ in range(count):
            with suppress(OSError):
                opened.append(socket.create_connection(("127.0.0.1", port), timeout=5))
                opened[-1].settimeout(0.2)
                opened[-1].sendall(attack.first)
        while not over.wait(_DRIP_SECONDS):
            for client in opened if attack.drip else ():
                with suppress(OSError):
                    client.send(attack.drip)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for client in opened:
            client.close()


def _milliseconds_of_healthz(api: ApiProcess) -> float:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=60)
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
    """Exit status 0 only if the 99th percentile of `GET /healthz` stayed below 200 ms in each attack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each attack")
    parser.add_argument("--share", type=float, default=1.0, help="of each attack's connections: 2 for twice as many")
    parser.add_argument("--processes", default="1", help="of the API")
    asked = parser.parse_args()
    met = True
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as redis:
        place = Path(folder)
        api = ApiProcess(Volume(place / "volume"), redis.url, place / "log", FITSTOP_API_PROCESSES=asked.processes)
        api.start()
        try:
            for attack in ATTACKS:
                seen = beside(attack, api, asked.seconds, asked.share)
                met &= seen.p99 < MOST_MILLISECONDS
                sys.stdout.write(
                    f"{attack.name}: p99 {seen.p99:.0f} ms, most {max(seen.taken):.0f} ms; "
                    f"the API holds {seen.sockets} sockets and {seen.megabytes} MB\n"
                )
        finally:
            api.stop()
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
