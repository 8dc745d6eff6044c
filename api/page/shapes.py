"""The shapes of the page's own answers; `api.shapes` has the others."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.shapes import Count, EpochRange, JobId, Time
from api.state.key_store import Scope
from shared.job import JobStatus
from shared.progress import Best


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class SessionKey(_Shape):
    """API key of a session."""

    id: str
    name: str
    scope: Scope


class Session(_Shape):
    """Session of a browser."""

    object: Literal["session"]
    key: SessionKey
    expires_at: Time


class SignInCode(_Shape):
    """One-time code to sign a browser in, after `/page/sign-in#code=`."""

    object: Literal["code"]
    code: str
    expires_at: Time


class RowPatience(_Shape):
    """Patience used."""

    wait: int
    patience: int
    stops_at_epoch: int


class RowStop(_Shape):
    """Reason of the stop."""

    reason: str
    epochs_not_run: int


class RowForecast(_Shape):
    """Forecast of the stop after `epoch`; `stop` is null without a forecast."""

    epoch: int
    stop: EpochRange | None
    chance_of_better: float | None


class RowCost(_Shape):
    """Cost so far."""

    currency: str
    total: float


class JobRow(_Shape):
    """Row of a job."""

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
    spark: Annotated[list[float | None], Field(description="Monitored metric, up to 32 points")]
    forecast: RowForecast | None
    gpu_seconds: float
    costs: list[RowCost]
