"""`workers/<worker>.json`: what a worker says of itself every few seconds.

For people to read; nothing is decided by it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class RunningAttempt(BaseModel):
    """An attempt that the worker has in one of its slots."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    job: str
    attempt: int
    slot: int


class WorkerCard(BaseModel):
    """One worker: `worker` is its name, new at each start; `ready` says that it would take a job now, `unfit` why it
    never does.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    version: Literal[1] = 1
    worker: str
    host: str
    pid: int
    device: str
    slots: int
    child_start: str
    ready: bool
    draining: bool
    unfit: str = ""
    running: tuple[RunningAttempt, ...]
    started_at: str
    seen_at: str
