"""System metrics of a job."""

from typing import Annotated, Literal

from pydantic import Field

from api.shapes.base import JobId, Shape
from api.shapes.jobs import Sample
from shared.system_finding import Code

_PerSecond = Annotated[float | None, Field(description="Bytes per second")]


class SystemSample(Shape):
    """Use of the machine in the `seconds` before `at`. The GPU's values are those of the device, for all its programs.

    The other values are those of the training process and of all that it has started.
    """

    attempt: int
    at: Annotated[float, Field(description="Seconds since the attempt was claimed")]
    seconds: Annotated[float, Field(description="Length of the sample")]
    cpu_cores: Annotated[float | None, Field(description="Number of CPU cores in use, on average")]
    memory_bytes: Annotated[float | None, Field(description="Memory without mapped files")]
    disk_read: _PerSecond
    disk_written: _PerSecond
    gpu_percent: Annotated[float | None, Field(description="Share of the time in which the GPU computed, in per cent")]
    gpu_memory_bytes: float | None
    gpu_watts: Annotated[float | None, Field(description="Power")]
    gpu_celsius: Annotated[float | None, Field(description="Temperature")]


class SystemAttempt(Shape):
    """Machine of one attempt: the CPU cores and the memory that a worker may use there, and its GPU."""

    attempt: int
    cores: float | None
    memory_bytes: int | None
    gpu: str | None
    gpu_memory_bytes: int | None


class SystemFinding(Shape):
    """Resource that the training waited for, or that was busy. Medians over `seconds` of training in one attempt."""

    code: Code
    text: str
    attempt: int
    seconds: float
    gpu_percent: float | None
    cpu_cores: float | None
    disk_read: Annotated[float | None, Field(description="Bytes per second")]


class SystemMetrics(Shape):
    """Use of the machine by the attempts of a job, oldest first; `next` is the cursor after it.

    `sampled` is not null if neighbours were merged.
    """

    object: Literal["system_metrics"]
    job: JobId
    attempts: list[SystemAttempt]
    data: list[SystemSample]
    sampled: Sample | None
    next: str
    finding: SystemFinding | None
