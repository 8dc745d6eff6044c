"""Writes what a running attempt uses of its machine, once a second (`shared.system_metrics`).

It is a thread of the worker, so that neither a script nor a busy training process can falsify or stop it. Nothing else
depends on it: if the volume or the driver fails, only a sample is lost.
"""

import logging
import os
import threading
import time
from pathlib import Path
from typing import Self

from shared.durable import replace_file
from shared.job_folder import AttemptFolder
from shared.system_metrics import MOST_SAMPLES, Machine, Sample, machine_line, sample_line, thin_out
from worker.machine.gpu_use import GpuMeter
from worker.machine.memory import memory_bytes
from worker.machine.process_use import available_cores, process_use

INTERVAL_SECONDS = 1.0
# Maximum part of one core, even if a script has started many processes.
_PART_OF_CORE = 0.01
_END_SECONDS = 2.0
# After a failed write, so that a full volume gets few attempts.
_SAMPLES_BEFORE_RETRY = 10

log = logging.getLogger(__name__)


class SystemSampler:
    """Samples process `pid` and the GPU `card` while the context is open.

    `since`: the moment before the attempt's claim (monotonic). `card`: as for `GpuMeter`.
    """

    def __init__(self, attempt: AttemptFolder, pid: int | None, since: float, card: str | None = None) -> None:
        self._card = card
        self._attempt = attempt
        self._pid = pid
        self._since = since
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"system of {attempt.job.id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        # A volume or a driver that hangs must not delay the worker. The thread is a daemon, and only it uses its file.
        self._thread.join(timeout=_END_SECONDS)

    def _run(self) -> None:
        if self._pid is None:
            return
        try:
            self._sample_until_stopped(self._pid)
        except Exception:
            # The edge of a thread: whatever is wrong with a sample, the job continues without the rest of them.
            log.exception("no more system metrics of %s", self._attempt.job.id)

    def _sample_until_stopped(self, pid: int) -> None:
        with GpuMeter(self._card) as gpu:
            machine = Machine(
                cores=available_cores(), memory_bytes=memory_bytes(), gpu=gpu.name, gpu_memory_bytes=gpu.memory_bytes
            )
            file = SystemFile(self._attempt.system_file, machine)
            meter = Meter(pid, self._since, gpu)
            pause = INTERVAL_SECONDS
            while not self._stop.wait(pause):
                began = time.thread_time()
                sample = meter.take()
                if sample is None:
                    return
                file.append(sample)
                pause = max(INTERVAL_SECONDS, (time.thread_time() - began) / _PART_OF_CORE)


class Meter:
    """Takes samples, each of the use since the previous one."""

    def __init__(self, pid: int, since: float, gpu: GpuMeter) -> None:
        self._pid = pid
        self._since = since
        self._gpu = gpu
        self._before = process_use(pid)
        self._taken = time.monotonic()

    def take(self) -> Sample | None:
        """Take the next sample; None once the process has ended."""
        now, use, gpu = time.monotonic(), process_use(self._pid), self._gpu.read()
        before, seconds = self._before or use, now - self._taken
        self._before, self._taken = use, now
        if use is None or before is None:
            return None
        return Sample(
            at=now - self._since,
            seconds=seconds,
            cpu_cores=_rate(before.cpu_seconds, use.cpu_seconds, seconds),
            memory_bytes=use.memory_bytes,
            disk_read=_rate(before.read_bytes, use.read_bytes, seconds),
            disk_written=_rate(before.written_bytes, use.written_bytes, seconds),
            gpu_percent=gpu.percent,
            gpu_memory_bytes=gpu.memory_bytes,
            gpu_watts=gpu.watts,
            gpu_celsius=gpu.celsius,
        )


def _rate(before: float | None, now: float | None, seconds: float) -> float | None:
    """The rate per second, minimum 0, since a sum over processes falls when one ends; None if a value is unknown."""
    return None if before is None or now is None else max(0.0, now - before) / seconds


class SystemFile:
    """The file of one attempt's samples, with its content. It has one writer; others may replace or remove it."""

    def __init__(self, path: Path, machine: Machine) -> None:
        self._path = path
        self._machine = machine
        self._samples: list[Sample] = []
        self._is_whole = False
        self._waits = 0

    def append(self, sample: Sample) -> None:
        """Add a sample, and thin out above MOST_SAMPLES. A sample that could not be written is written later."""
        self._samples.append(sample)
        if len(self._samples) > MOST_SAMPLES:
            self._samples = thin_out(self._samples)
            self._is_whole = False
        self._waits -= 1
        if self._waits > 0:
            return
        try:
            self._write(sample)
        except OSError as error:
            # A part of the line may have been written.
            self._is_whole, self._waits = False, _SAMPLES_BEFORE_RETRY
            log.debug("%s was not written: %s", self._path, error)

    def _write(self, newest: Sample) -> None:
        if not self._is_whole:
            # The job's folder exists, unless the job was deleted.
            self._path.parent.mkdir(exist_ok=True)
            replace_file(self._path, machine_line(self._machine), *map(sample_line, self._samples))
            self._is_whole = True
            return
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            line = sample_line(newest)
            self._is_whole = os.write(descriptor, line) == len(line)
        finally:
            os.close(descriptor)
