"""Watches the processes and the volume all the time, and records every change.

A training process is recognized by its standard output, which is its attempt's `output.log`. So the watcher does not
rely on anything that the product reports about itself.
"""

import json
import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from proofs.chaos.record import Record
from shared.job_folder import JobFolder
from shared.volume import Volume

# Only the end of the path, because the beginning is different on a volume that was unmounted.
_OUTPUT = re.compile(r"/jobs/../(?P<job>job_\w+)/attempts/(?P<attempt>\d+)/output\.log$")
_LOOK_SECONDS = 0.025
_FILES_SECONDS = 0.7


@dataclass(frozen=True)
class Trainer:
    """One live training process; `stopped` while SIGSTOP holds it."""

    job: str
    attempt: int
    pid: int
    stopped: bool


class Watcher:
    """The watching thread. `trainers` is the result of the last look."""

    def __init__(self, volume: Volume, record: Record) -> None:
        self._volume = volume
        self._record = record
        self._results: dict[str, bytes] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher")
        self.trainers: dict[int, Trainer] = {}
        self.ended_jobs = 0

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self._look_at_files()

    def look(self) -> dict[int, Trainer]:
        """The current training processes, by their process ids."""
        return {pid: trainer for pid in _pids() if (trainer := self._trainer(pid)) is not None}

    def _watch(self) -> None:
        looked_at_files = last = time.monotonic()
        while not self._over.wait(_LOOK_SECONDS):
            now = time.monotonic()
            if now - last > 0.25:
                self._record.write("blind", seconds=round(now - last, 3))
            last = now
            self._look_at_processes()
            if now - looked_at_files > _FILES_SECONDS:
                self._look_at_files()
                looked_at_files = time.monotonic()

    def _look_at_processes(self) -> None:
        seen = self.look()
        for pid in self.trainers.keys() | seen.keys():
            before, now = self.trainers.get(pid), seen.get(pid)
            if before == now:
                continue
            trainer = now or before
            assert trainer is not None
            state = "gone" if now is None else "stopped" if now.stopped else "runs"
            self._record.write("trainer", job=trainer.job, attempt=trainer.attempt, pid=pid, state=state)
        self.trainers = seen

    def _trainer(self, pid: int) -> Trainer | None:
        try:
            output = str(Path(f"/proc/{pid}/fd/1").readlink())
            found = _OUTPUT.search(output)
            if found is None or not self._volume.job_folder(found["job"]).path.exists():
                return None
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return None
        if state in {"Z", "X"}:
            return None
        return Trainer(found["job"], int(found["attempt"]), pid, state in {"T", "t"})

    def _look_at_files(self) -> None:
        for job_id in self._volume.job_ids():
            job = self._volume.job_folder(job_id)
            if job_id not in self._results:
                self._look_at_open(job)
            self._look_at_result(job)
        self.ended_jobs = len(self._results)

    def _look_at_open(self, job: JobFolder) -> None:
        for path in job.path.rglob("*.json"):
            if path.name.startswith("."):
                continue
            try:
                json.loads(path.read_bytes())
            except FileNotFoundError:
                continue
            except ValueError:
                self._record.write("torn", file=str(path))

    def _look_at_result(self, job: JobFolder) -> None:
        try:
            content = job.result_file.read_bytes()
        except FileNotFoundError:
            content = b""
        before = self._results.get(job.id)
        if before is None and content:
            self._results[job.id] = content
            self._record.write("result", job=job.id, status=json.loads(content)["ending"]["status"])
        elif before is not None and content != before:
            self._record.write("changed", job=job.id, before=before.decode(), after=content.decode())
            self._results[job.id] = content


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208
