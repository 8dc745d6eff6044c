"""A finding from a job's system metrics, in one sentence: what its training waited for, or what was busy.

The rule compares medians over the time of training: from the middle of the attempt's first epoch, so that compiling is
not counted, to the end of its last. It needs at least MIN_SECONDS of samples.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.history import AttemptHistory
from shared.system_metrics import Machine, Sample, SystemMetrics

MIN_SECONDS = 10.0
# A GPU that computes for less of the time is waiting for something.
_BUSY_GPU_PERCENT = 70.0
# A thread that prepares batches or starts steps without a pause uses most of a core.
_BUSY_CORES = 0.8
_BUSY_SHARE_OF_CORES = 0.85
_IDLE_CORES = 0.5
_BUSY_DISK_BYTES = 10e6

Code = Literal[
    "gpu_busy", "gpu_waited_for_data", "gpu_waited_for_disk", "gpu_short_steps", "gpu_idle",
    "cpu_busy", "cpu_waited_for_disk", "cpu",
]  # fmt: skip
WAITS = frozenset({"gpu_waited_for_data", "gpu_waited_for_disk", "gpu_short_steps", "gpu_idle", "cpu_waited_for_disk"})


@dataclass(frozen=True)
class Finding:
    """The sentence and its evidence: medians over `seconds` of training in one attempt; None if unknown.

    `disk_read` is in bytes per second.
    """

    code: Code
    text: str
    attempt: int
    seconds: float
    gpu_percent: float | None
    cpu_cores: float | None
    disk_read: float | None

    @property
    def has_waited(self) -> bool:
        """Whether the training waited for something."""
        return self.code in WAITS


def find(metrics: Iterable[SystemMetrics], attempts: Sequence[AttemptHistory], engine: str | None) -> Finding | None:
    """The finding of the first attempt in `metrics` that has trained long enough; None if none has.

    `engine`: the engine in the job's plan, or None.
    """
    histories = {attempt.number: attempt for attempt in attempts}
    for one in metrics:
        history = histories.get(one.attempt)
        samples = _while_training(one.samples, history) if history else []
        seconds = sum(sample.seconds for sample in samples)
        if seconds >= MIN_SECONDS:
            return _judge(one, samples, seconds, engine)
    return None


def _while_training(samples: Sequence[Sample], history: AttemptHistory) -> list[Sample]:
    epochs = history.epochs
    if not epochs or epochs.last is None:
        return []
    first = epochs.row(0)
    begin, end = first.ended / 1e6 - first.seconds / 2, epochs.last.ended / 1e6
    return [sample for sample in samples if begin <= sample.at - sample.seconds and sample.at <= end + sample.seconds]


def _judge(metrics: SystemMetrics, samples: Sequence[Sample], seconds: float, engine: str | None) -> Finding:
    gpu, cpu, disk = (_median(samples, name) for name in ("gpu_percent", "cpu_cores", "disk_read"))
    judge = _judge_cpu if gpu is None else _judge_gpu
    code = judge(gpu or 0.0, cpu or 0.0, disk or 0.0, metrics.machine.cores, engine)
    text = f"{_SENTENCES[code]} {_evidence(metrics.machine, seconds, gpu, cpu, disk)}"
    return Finding(code, text, metrics.attempt, round(seconds, 1), gpu, cpu, disk)


def _judge_gpu(gpu: float, cpu: float, disk: float, _cores: float | None, engine: str | None) -> Code:
    if gpu >= _BUSY_GPU_PERCENT:
        return "gpu_busy"
    if cpu < _BUSY_CORES:
        return "gpu_waited_for_disk" if disk >= _BUSY_DISK_BYTES else "gpu_idle"
    # The fused engine has its data in arrays already: the processor prepares nothing and only starts steps.
    return "gpu_short_steps" if engine == "fused" and disk < _BUSY_DISK_BYTES else "gpu_waited_for_data"


def _judge_cpu(_gpu: float, cpu: float, disk: float, cores: float | None, _engine: str | None) -> Code:
    if cores is not None and cpu >= _BUSY_SHARE_OF_CORES * cores:
        return "cpu_busy"
    return "cpu_waited_for_disk" if cpu < _IDLE_CORES and disk >= _BUSY_DISK_BYTES else "cpu"


_SENTENCES: dict[Code, str] = {
    "gpu_busy": "The GPU was busy.",
    "gpu_waited_for_data": "The GPU waited for data: prepare batches in parallel, cache them, or use larger ones.",
    "gpu_waited_for_disk": "The GPU waited for data from the disk.",
    "gpu_short_steps": "The GPU was often idle between short steps: larger batches use it more.",
    "gpu_idle": "The GPU was often idle, and neither the processor nor the disk was busy.",
    "cpu_busy": "All CPU cores were busy.",
    "cpu_waited_for_disk": "Training waited for the disk.",
    "cpu": "Training computed on the CPU.",
}


def _evidence(machine: Machine, seconds: float, gpu: float | None, cpu: float | None, disk: float | None) -> str:
    words = [f"GPU {gpu:.0f} % busy"] if gpu is not None else []
    cores = f" of {machine.cores:g}" if machine.cores else ""
    words += [f"{cpu:.1f}{cores} CPU cores used"] if cpu is not None else []
    words += [f"{disk / 1e6:.1f} MB/s read from disk"] if disk is not None else []
    return f"Medians over {seconds:.0f} s of training: {', '.join(words)}."


def _median(samples: Sequence[Sample], name: str) -> float | None:
    """The median weighted by time: a longer sample counts more."""
    known = sorted((value, one.seconds) for one in samples if (value := getattr(one, name)) is not None)
    half, passed = sum(seconds for _, seconds in known) / 2, 0.0
    for value, seconds in known:
        passed += seconds
        if passed >= half:
            return float(value)
    return None
