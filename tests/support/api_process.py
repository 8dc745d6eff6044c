"""The API as it is served: gunicorn in its own processes."""

import http.client
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.volume import Volume
from tests.support.keys import ADMIN_KEY, AUTHORIZATION
from tests.support.redis import free_port
from tests.support.waiting import wait_for, wait_for_end
from tests.support.worker_process import descendants


@dataclass
class Answer:
    """A whole response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ApiProcess:
    """`python -m api` on a volume and a Redis."""

    def __init__(self, volume: Volume, redis_url: str, log: Path, **environment: str) -> None:
        self.port = free_port()
        self.volume = volume
        self.log = log
        self._environment = {
            **os.environ,
            "FITSTOP_VOLUME": str(volume.root),
            "FITSTOP_PORT": str(self.port),
            "FITSTOP_REDIS_URL": redis_url,
            "FITSTOP_ADMIN_KEY": ADMIN_KEY,
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the API, and wait until it answers."""
        self.begin()
        wait_for(self._answers, saying=f"the API answers, see {self.log}")

    def begin(self) -> None:
        """Start the API, without waiting."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api"], env=self._environment, stderr=log, stdout=log
            )

    def wait(self, within: float) -> int:
        """Wait until it ends by itself, and return its exit status."""
        assert self.process is not None
        return wait_for_end(self.process, within)

    def kill(self) -> None:
        """Kill all its processes, as a power failure of the machine does."""
        assert self.process is not None
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def ask(self, method: str, path: str, body: Any = None, chunked: bool = False, **headers: str) -> Answer:
        """Send one request on a new connection. A dictionary is sent as JSON."""
        if isinstance(body, dict):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **headers}
        connection = self.connect()
        try:
            connection.request(method, path, body, {**AUTHORIZATION, **headers}, encode_chunked=chunked)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def workers(self) -> list[int]:
        """gunicorn's worker processes."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the API ended: {self.log.read_text()}"
        try:
            return self.ask("GET", "/healthz").status == 200
        except OSError:
            return False
