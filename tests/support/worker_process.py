"""A real worker in its own process, and its training processes."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from shared.volume import Volume
from tests.support.waiting import wait_for, wait_for_end

# Short enough for a test, in the proportions of the defaults.
QUICK = {
    "FITSTOP_HEARTBEAT_SECONDS": "0.5",
    "FITSTOP_SELF_STOP_SECONDS": "4",
    "FITSTOP_TAKE_OVER_SECONDS": "6",
    "FITSTOP_SWEEP_SECONDS": "1",
    "FITSTOP_RETRY_BACKOFF_SECONDS": "0.2",
}


class WorkerProcess:
    """`python -m worker` on a volume and a Redis."""

    def __init__(self, volume: Volume, redis_url: str, log: Path, **environment: str) -> None:
        self._volume = volume
        self.log = log
        self.command = [sys.executable, "-m", "worker"]
        self.environment = {
            **os.environ,
            **QUICK,
            "FITSTOP_VOLUME": str(volume.root),
            "FITSTOP_REDIS_URL": redis_url,
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the worker, and wait until it is ready for a job."""
        self.begin()
        wait_for(self._is_ready, 120, every=0.1, saying=f"the worker is ready, see {self.log}")

    def begin(self) -> None:
        """Start the worker, without waiting."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, within: float = 30) -> int:
        assert self._process is not None
        return wait_for_end(self._process, within)

    def stop(self) -> None:
        """Kill the worker, whatever state it is in."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()

    def training_process(self) -> int:
        """The process of the attempt that was started last."""
        found = re.findall(r"trains in process (\d+)", self.log.read_text())
        assert found, "no child was started"
        return int(found[-1])

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the worker ended: {self.log.read_text()}"
        cards = self._volume.worker_cards()
        return any((card.ready or card.running) and card.pid == self.pid for card in cards)


def descendants(pid: int) -> list[int]:
    """All descendants of a process, from /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def is_running(pid: int) -> bool:
    """Whether a process runs; False for a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False
