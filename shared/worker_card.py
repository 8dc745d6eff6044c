"""`workers/<worker>.json`: what a worker says of itself every few seconds.

For people to read; nothing is decided by it.
"""

from pydantic import BaseModel, ConfigDict

from shared.document import Document
from shared.settings import AllowCode
from shared.times import Time


class RunningAttempt(BaseModel):
    """An attempt that the worker has in one of its slots; one on more `devices` than a slot holds is in several."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    job: str
    attempt: int
    slot: int
    devices: int = 1


class GpuUse(BaseModel):
    """How busy a GPU was over the last moments, in per cent of the time, and how much of its memory is taken."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    used_percent: int
    used_bytes: int
    total_bytes: int


class Gpu(BaseModel):
    """One GPU of a worker, by its name for CUDA, and the slots that hold it; None is what the driver does not say."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    card: str
    name: str | None
    slots: tuple[int, ...]
    used_percent: int | None
    used_bytes: int | None
    total_bytes: int | None


class WorkerCard(Document):
    """One worker: `worker` is its name, new at each start; `ready` says that it would take a job now, `unfit` why it
    takes none for now, or never, `paused` why it does not until the volume is well again.

    `gpu` is the use of the first GPU, None on a CPU, and where the driver does not say. `idle_gpu` names a GPU that is
    there and is not used, since the installed TensorFlow is built for the CPU alone. `memory_bytes` is the memory of
    its machine or container. `programs`: how it runs programs; `no_programs`: why it takes none, empty where it does.
    Each of the `slots` holds `slot_devices` devices, of `gpus` where it has some; a job in several slots may have up to
    `most_devices`. `kept_for`: the job that free slots are kept for until enough of them are free, empty where none is.
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
        """The most devices that a job may have here; a worker of an earlier version runs each job in one slot."""
        return max(self.slot_devices, self.most_devices)
