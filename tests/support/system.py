"""System metrics as a worker writes them, but without a worker."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from shared.events import Event
from shared.job_folder import AttemptFolder
from shared.system_metrics import Machine, Sample
from tests.support.epochs import epoch, tell
from worker.supervisor.system_sampler import SystemFile

CPU = Machine(cores=4, memory_bytes=16 * 10**9)
GPU = Machine(cores=8, memory_bytes=64 * 10**9, gpu="NVIDIA H200", gpu_memory_bytes=141 * 10**9)


def leave_system(attempt: AttemptFolder, samples: Iterable[Sample], machine: Machine = CPU) -> None:
    """Write the metrics of an attempt."""
    file = SystemFile(attempt.system_file, machine)
    for sample in samples:
        file.append(sample)


def seconds_of(count: int, first: int = 1, **values: Any) -> list[Sample]:
    """A sample with the same values for each of `count` seconds."""
    return [Sample(at=float(at), seconds=1.0, **values) for at in range(first, first + count)]


def train_for(attempt: AttemptFolder, seconds: int, each: float = 1.0) -> None:
    """Write the epochs of `seconds` of training, each of which takes `each` seconds."""
    tell(attempt, *(_ended(number, number * each, each) for number in range(1, int(seconds / each) + 1)))


def _ended(number: int, at: float, each: float) -> Event:
    event = epoch(number, 0.5, epochs=100)
    return replace(event, at=at, data={**event.data, "seconds": each})
