"""The errors of a run, and whether another attempt may succeed.

    TrainingError            this program's own
    ├── BadData              the data or the model cannot be trained; never retried
    ├── DataChanged          the data, weights or program have changed since the job was posted; never retried
    ├── DataMissing          the data is not on the volume; retried, since the volume may be unavailable
    ├── DataLargerThanMemory the machine's memory is too small for the data; retried, since another one may have more
    ├── TooFewDevices        the worker's slot has fewer devices than the job needs; retried, another one may have more
    ├── NoPrice              the job's cost is limited and the worker has no price; retried, another one may have it
    └── Diverged             a number is no longer finite; never retried
    TrainingStopped          not an error: a stop was requested
    ├── BudgetUsedUp         the job's budget is used up
    └── CannotWin            a trial of a sweep that cannot be the best
    Superseded               another worker has ended the attempt; nothing more may be written

Only `describe_failure` translates errors of other libraries into a code and a message.
"""

import errno
import os
from pathlib import Path
from typing import Literal

from shared.job import BudgetUsed, JobError, Outclassed
from shared.problems import FitstopError
from shared.storage import classify_storage_error, is_storage_error, storage_message
from worker.machine.memory import DATA_LARGER_THAN_MEMORY

_MOST_SHOWN = 300


class TrainingError(FitstopError):
    """A run that cannot continue. `may_retry`: whether another attempt may succeed."""

    may_retry = False


class BadData(TrainingError):
    code = "bad_data"


class DataChanged(TrainingError):
    code = "data_changed"


class DataMissing(TrainingError):
    code = "data_missing"
    may_retry = True


class DataLargerThanMemory(TrainingError):
    code = DATA_LARGER_THAN_MEMORY
    may_retry = True


class TooFewDevices(TrainingError):
    code = "too_few_devices"
    may_retry = True


class NoPrice(TrainingError):
    code = "no_price"
    may_retry = True


class Diverged(TrainingError):
    code = "diverged"


class TrainingStopped(FitstopError):
    """Raised at the next batch after a stop was requested."""

    code = "stopped"

    def __init__(self, reason: Literal["cancelled", "handed_back", "restart", "budget", "outclassed"]) -> None:
        super().__init__(reason)
        self.reason = reason


class BudgetUsedUp(TrainingStopped):
    """Raised at the batch after which the remaining budget suffices only for writing."""

    def __init__(self, used: BudgetUsed) -> None:
        super().__init__("budget")
        self.used = used


class CannotWin(TrainingStopped):
    """Raised at the next batch after the rule of the trial's sweep has stopped it."""

    def __init__(self, evidence: Outclassed) -> None:
        super().__init__("outclassed")
        self.evidence = evidence


class Superseded(FitstopError):
    """Another worker has ended the attempt, or this attempt's worker sends no heartbeat."""

    code = "superseded"


def describe_failure(error: Exception, volume_root: Path) -> tuple[JobError, bool]:
    """The code and message of any error, and whether to retry the job. `volume_root`: to tell which disk failed."""
    if isinstance(error, TrainingError):
        return JobError(code=error.code, message=str(error)), error.may_retry
    if _is_disk_full(error):
        return JobError(code="worker_disk_full", message=storage_message("worker_disk_full")), True
    if is_out_of_memory(error):
        where, code = ("the GPU", "out_of_memory_gpu") if "GPU" in str(error) else ("the machine", "out_of_memory_host")
        message = f"the model and its batch need more memory than {where} has; a smaller batch_size or fewer units help"
        return JobError(code=code, message=message), True
    if isinstance(error, ImportError):
        # The worker's libraries are incomplete, or were changed while it runs. Another worker may have them.
        return JobError(
            code="no_child", message=f"a library of the worker cannot be imported: {first_line(error)}"
        ), True
    if isinstance(error, OSError):
        return _failure_of_system(error, volume_root), True
    return JobError(code="training_error", message=first_line(error)), False


def first_line(error: Exception) -> str:
    """The error's type, and at most 300 characters of the first line of its message."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:_MOST_SHOWN]}"


def is_out_of_memory(error: Exception) -> bool:
    """Whether the machine or the GPU ran out of memory."""
    # TensorFlow's class is recognised by its name, so that this module needs no TensorFlow.
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def _is_disk_full(error: Exception) -> bool:
    """Whether a disk of this machine, on which TensorFlow stores compiled programs, is full.

    TensorFlow raises the same class for memory and for disks. It never writes to the volume.
    """
    return type(error).__name__ == "ResourceExhaustedError" and os.strerror(errno.ENOSPC) in str(error)


def _failure_of_system(error: OSError, volume_root: Path) -> JobError:
    if not is_storage_error(error):
        return JobError(code="training_error", message=first_line(error))
    code = classify_storage_error(error, volume_root)
    return JobError(code=code, message=storage_message(code, error))
