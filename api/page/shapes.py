"""The shapes of the page's own answers, as `api.shapes` has those of all others."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.key_store import Scope
from api.shapes import Count, EpochRange, JobId, Time
from shared.job import JobStatus
from shared.progress import Best


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class SessionKey(_Shape):
    """The key that a session stands for."""

    id: str
    name: str
    scope: Scope


class Session(_Shape):
    """A browser that is signed in."""

    object: Literal["session"]
    key: SessionKey
    expires_at: Time


class SignInCode(_Shape):
    """A code that signs one browser in, behind `/page/sign-in#code=`."""

    object: Literal["code"]
    code: str
    expires_at: Time


class RowPatience(_Shape):
    """How much of the patience is used up."""

    wait: int
    patience: int
    stops_at_epoch: int


class RowStop(_Shape):
    """Why it stopped."""

    reason: str
    epochs_not_run: int


class RowForecast(_Shape):
    """Where it will stop, as it looked after `epoch`; `stop` is null where nothing can be said."""

    epoch: int
    stop: EpochRange | None
    chance_of_better: float | None


class RowCost(_Shape):
    """What it cost until now."""

    currency: str
    total: float


class JobRow(_Shape):
    """A job in one line."""

    id: JobId
    object: Literal["job_row"]
    name: str | None
    dataset: str
    priority: int
    status: JobStatus
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    cancel_requested: bool
    queue_position: int | None
    epoch: int
    epochs: int
    best: Best | None
    patience: RowPatience | None
    stop: RowStop | None
    error: str | None
    warnings: Count
    spark: Annotated[list[float | None], Field(description="the monitored curve, at most 32 points")]
    forecast: RowForecast | None
    gpu_seconds: float
    costs: list[RowCost]
