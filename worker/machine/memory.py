"""The machine's memory: its size, the kernel's out-of-memory kills, and the error of data that is too large.

The kernel's count of kills is needed because a SIGKILL does not say who sent it.
"""

from functools import cache
from pathlib import Path

from shared.job import JobError
from shared.job_folder import AttemptFolder
from shared.volume import dataset_of
from worker.machine.process_use import anonymous_bytes, process_family

DATA_LARGER_THAN_MEMORY = "data_larger_than_memory"

_VMSTAT = Path("/proc/vmstat")
_CGROUP_EVENTS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))
_MEMINFO = Path("/proc/meminfo")
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_NUMBER_BYTES = 4
# Part of the memory that a training process may use without a limit in the settings. The worker and the system need the
# rest.
_TRAINING_SHARE = 0.9


def out_of_memory_kills() -> int:
    """Number of out-of-memory kills by the kernel, here and in this container, since the machine started."""
    return sum(_count(path) for path in (_VMSTAT, *_CGROUP_EVENTS))


@cache
def memory_bytes() -> int | None:
    """Bytes of memory of this machine, or of this container if that is less; None if unknown."""
    total = (int(line.split()[1]) * 1024 for line in _read(_MEMINFO) if line.startswith("MemTotal:"))
    limits = (int(line) for path in _CGROUP_LIMITS for line in _read(path) if line.isdecimal())
    return min((*total, *limits), default=None)


def training_limit(asked_bytes: int) -> int | None:
    """Maximum bytes of memory of a training process: `asked_bytes`, or 0.9 of the machine's; None if unknown."""
    has = memory_bytes()
    return asked_bytes or (None if has is None else int(has * _TRAINING_SHARE))


def held_bytes(pid: int) -> int:
    """Bytes of memory of a process and its descendants, without mapped files. 0 if it has ended, or if unknown.

    A cgroup would be simpler, but a worker, above all in a container, may not create one.
    """
    return sum(map(anonymous_bytes, process_family(pid)))


def data_shortage(attempt: AttemptFolder) -> JobError:
    """The error of an attempt whose data did not fit into this machine's memory, with both sizes."""
    record = attempt.job.record()
    task = record.task if record else None
    info = dataset_of(attempt.job, record.data_spec.dataset.id) if record and task else None
    sizes = ""
    if task and info:
        size = _gibibytes(info.rows * task.features * _NUMBER_BYTES)
        sizes = f": {info.rows:,} rows of {task.features:,} features of {_NUMBER_BYTES} bytes are {size}"
    has = memory_bytes()
    here = "this worker has" if has is None else f"the {_gibibytes(has)} that this worker has"
    message = (
        f"loading and preparing the data takes more memory than {here}{sizes}; "
        "a worker with more memory can train the job, and fewer rows or columns need less"
    )
    return JobError(code=DATA_LARGER_THAN_MEMORY, message=message)


def _gibibytes(size: int) -> str:
    return f"{size / 1024**3:.2f} GiB"


def _read(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _count(path: Path) -> int:
    pairs = (line.split() for line in _read(path))
    return sum(int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == "oom_kill" and pair[1].isdecimal())
