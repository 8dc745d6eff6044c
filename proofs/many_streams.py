"""Does the API answer beside many open connections? `python -m proofs.many_streams --streams 200 --slow 50`.

Opens event streams of a running job that writes events, and clients that send a byte of a request now and then. Prints
how long `GET /healthz` takes meanwhile, in milliseconds.
"""

import argparse
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shared.events import Event, EventWriter
from shared.job_folder import AttemptFolder
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.keys import ADMIN_KEY
from tests.support.redis import running_redis

_SLOW_SECONDS = 0.5
_MOST_MILLISECONDS = 100


@dataclass
class Crowd:
    """The open connections. `streaming` counts those that got a stream."""

    streams: list[socket.socket] = field(default_factory=list)
    slow: list[socket.socket] = field(default_factory=list)

    @property
    def streaming(self) -> int:
        return sum(b" 200 " in connection.recv(4096, socket.MSG_PEEK).splitlines()[0] for connection in self.streams)


@contextmanager
def crowd(api: ApiProcess, job_id: str, streams: int, slow: int) -> Iterator[Crowd]:
    """Open event streams, and clients that send a byte now and then, during the block."""
    over = threading.Event()
    with ExitStack() as open_ones:
        found = Crowd()
        for kind, count in ((found.streams, streams), (found.slow, slow)):
            for _ in range(count):
                kind.append(open_ones.enter_context(socket.create_connection(("127.0.0.1", api.port), timeout=30)))
        for connection in found.streams:
            connection.sendall(_request(job_id))
        for connection in found.slow:
            connection.sendall(b"PUT /datasets/slow HTTP/1.1\r\nHost: x\r\nX-")
        dripping = threading.Thread(target=_drip, args=(found.slow, over))
        dripping.start()
        try:
            yield found
        finally:
            over.set()
            dripping.join()


def milliseconds_of_healthz(api: ApiProcess, looks: int) -> list[float]:
    """Time each of `looks` requests, each on a new connection."""
    taken = []
    for _ in range(looks):
        began = time.perf_counter()
        answer = api.ask("GET", "/healthz")
        taken.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200
    return taken


def speaking_job(volume: Volume) -> tuple[str, AttemptFolder]:
    """Create a job that runs according to its files."""
    put_dataset(volume, learnable_frame(60))
    job = put_job(volume, small_spec())
    return job.id, claim(job)


def tell(attempt: AttemptFolder, message: str) -> None:
    """Write an event of the job."""
    with EventWriter(attempt.events_file) as writer:
        writer.write([Event("state", message, {})])


def main() -> int:
    """Exit status 0 only if every stream was open and the 99th percentile of `GET /healthz` is below 100 ms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--slow", type=int, default=50)
    parser.add_argument("--looks", type=int, default=300)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as redis:
        volume, log = Volume(Path(folder) / "volume"), Path(folder) / "api.log"
        api = ApiProcess(volume, redis.url, log, FITSTOP_STREAMS_PER_KEY="1000")
        api.start()
        try:
            job_id, attempt = speaking_job(api.volume)
            alone = milliseconds_of_healthz(api, asked.looks)
            with crowd(api, job_id, asked.streams, asked.slow) as found:
                tell(attempt, "hello")
                streaming = found.streaming
                beside = milliseconds_of_healthz(api, asked.looks)
        finally:
            api.stop()
    sys.stdout.write(
        f"alone: {_told(alone)}\nbeside {streaming} streams and {asked.slow} slow clients: {_told(beside)}\n"
    )
    return 0 if streaming == asked.streams and _percentile(beside, 99) < _MOST_MILLISECONDS else 1


def _request(job_id: str) -> bytes:
    head = f"GET /jobs/{job_id}/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
    return f"{head}Authorization: Bearer {ADMIN_KEY}\r\n\r\n".encode()


def _drip(slow: list[socket.socket], over: threading.Event) -> None:
    while not over.wait(_SLOW_SECONDS):
        for connection in slow:
            try:
                connection.sendall(b"a")
            except OSError:  # the API has closed it
                continue


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def _told(values: list[float]) -> str:
    return f"median {statistics.median(values):.1f} ms, p99 {_percentile(values, 99):.1f} ms, most {max(values):.1f} ms"


if __name__ == "__main__":
    raise SystemExit(main())
