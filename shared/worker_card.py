"""`workers/<worker>.json`: a worker's card, which the worker writes every few seconds.

For people to read; no decision depends on it.
"""

from pydantic import BaseModel, ConfigDict

from shared.document import Document
from shared.settings import AllowCode
from shared.times import Time


class RunningAttempt(BaseModel):
    """An attempt in one slot of the worker. One that needs more `devices` than a slot has is in several slots."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    job: str
    attempt: int
    slot: int
    devices: int = 1


class GpuUse(BaseModel):
    """Recent utilization of a GPU, in percent of the time, and the memory in use, by all processes."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    used_percent: int
    used_bytes: int
    total_bytes: int


class Gpu(BaseModel):
    """One GPU of a worker, `card` as CUDA names it, and the slots that hold it. None: the driver does not report it."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    card: str
    name: str | None
    slots: tuple[int, ...]
    used_percent: int | None
    used_bytes: int | None
    total_bytes: int | None


class WorkerCard(Document):
    """One worker. `worker` is its name, new at each start.

    `ready`: it would take a job now. `unfit`: why it takes none, now or ever. `paused`: why it waits until the volume
    is usable. `gpu` is the use of the first GPU; None on a CPU, or if the driver does not report it. `idle_gpu` names a
    GPU that is not used, since the installed TensorFlow is the CPU build. `memory_bytes` is the memory of its machine
    or container. `programs`: how it runs programs. `no_programs`: why it takes none, empty if it does. Each of the
    `slots` holds `slot_devices` devices, of `gpus` if it has some. A job in several slots may have up to
    `most_devices`. `kept_for`: the job for which free slots are kept until enough of them are free, else empty.
    """

    worker: str
    host: str
    pid: int
    device: str
    gpu: GpuUse | None = None
    gpus: tuple[Gpu, ...] = ()
    idle_gpu: str = ""
    memory_bytes: int | None = None
    programs: AllowCode = "no"
    no_programs: str = ""
    slots: int
    slot_devices: int = 1
    most_devices: int = 1
    kept_for: str = ""
    child_start: str
    ready: bool
    draining: bool
    unfit: str = ""
    paused: str = ""
    running: tuple[RunningAttempt, ...]
    started_at: Time
    seen_at: Time

    @property
    def widest(self) -> int:
        """Maximum devices of a job on this worker. A worker of an earlier version runs each job in one slot."""
        return max(self.slot_devices, self.most_devices)
