"""What it costs to watch a training process, measured beside it while it trains: samples, output, events.

Each part is the product's own code, on the same process and the same volume. `python -m bench.evaluation` prints it.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shared.events import EventWriter, last_event
from shared.job_folder import AttemptFolder
from shared.system_metrics import Machine
from worker.ipc.bounded_output import LOOK_SECONDS, BoundedOutput
from worker.machine.gpu_use import GpuMeter
from worker.supervisor.system_sampler import INTERVAL_SECONDS, Meter, SystemFile

_SAMPLES = 30
_LOOKS = 2000
_EPOCHS = 50


@dataclass(frozen=True)
class Watching:
    """Shares of a core, of the worker for samples and of the training process for output; seconds of one event."""

    samples: float
    output: float
    event_seconds: float


def measure_watching(attempt: AttemptFolder) -> Watching:
    """Measure an attempt that trains and has ended an epoch. Takes half a minute.

    Raises RuntimeError if it no longer trains.
    """
    process = attempt.training_process()
    if process is None:
        raise RuntimeError("no process trains")
    with tempfile.TemporaryDirectory(dir=attempt.job.path) as folder:
        return Watching(
            samples=_measure_samples(process.process.pid, Path(folder)),
            output=_measure_output(Path(folder)),
            event_seconds=_measure_event(attempt, Path(folder)),
        )


def _measure_samples(pid: int, folder: Path) -> float:
    with GpuMeter() as gpu:
        meter, file, seconds = Meter(pid, time.monotonic(), gpu), SystemFile(folder / "1.jsonl", Machine()), []
        for _ in range(_SAMPLES):
            time.sleep(INTERVAL_SECONDS)
            seconds.append(_seconds_of(lambda: _sample(meter, file)))
    return statistics.median(seconds) / INTERVAL_SECONDS


def _sample(meter: Meter, file: SystemFile) -> None:
    sample = meter.take()
    if sample is None:
        raise RuntimeError("the training process has ended")
    file.append(sample)


def _measure_output(folder: Path) -> float:
    """Measure the thread that checks the size of the output. Printing itself costs the same without it."""
    output = BoundedOutput(folder, streams=())
    return _seconds_of(lambda: _look_often(output)) / _LOOKS / LOOK_SECONDS


def _look_often(output: BoundedOutput) -> None:
    for _ in range(_LOOKS):
        output.look()


def _measure_event(attempt: AttemptFolder, folder: Path) -> float:
    """Measure writing the event of an epoch to the disk."""
    event = last_event(attempt, "epoch")
    if event is None:
        raise RuntimeError("no epoch has ended")
    with EventWriter(folder / "events.jsonl") as writer:

        def tell() -> None:
            writer.write([event])
            writer.sync()

        return statistics.median(_seconds_of(tell, time.perf_counter) for _ in range(_EPOCHS))


def _seconds_of(act: Callable[[], object], clock: Callable[[], float] = time.thread_time) -> float:
    """Time a call, by default in CPU seconds of the thread: the benchmark shares its cores with what it measures."""
    began = clock()
    act()
    return clock() - began
