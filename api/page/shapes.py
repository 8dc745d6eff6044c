"""The shapes of the page's own answers; `api.shapes` has the others."""

from typing import Annotated, Literal

from pydantic import Field

from api.shapes.base import Count, JobId, Page, Shape, Time
from api.shapes.insight import EpochRange, SpendNow
from api.state.key_store import Scope
from shared.job import JobStatus
from shared.progress import Best


class SessionKey(Shape):
    """API key of a session."""

    id: str
    name: str
    scope: Scope


class Session(Shape):
    """Session of a browser."""

    object: Literal["session"]
    key: SessionKey
    expires_at: Time


class SignInCode(Shape):
    """One-time code to log a browser in, after `/page/sign-in#code=`."""

    object: Literal["code"]
    code: str
    expires_at: Time


class RowPatience(Shape):
    """Patience used."""

    wait: int
    patience: int
    stops_at_epoch: int


class RowStop(Shape):
    """Reason of the stop."""

    reason: str
    epochs_not_run: int


class RowForecast(Shape):
    """Forecast of the stop after `epoch`; `stop` is null without a forecast."""

    epoch: int
    stop: EpochRange | None
    chance_of_better: float | None


class RowCost(Shape):
    """Cost so far."""

    currency: str
    total: float


class JobRow(Shape):
    """Row of a job."""

    id: JobId
    object: Literal["job_row"]
    project: str
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
    tags: list[str]
    values: Annotated[
        dict[str, str | int | float | bool | None],
        Field(description="Values of the requested columns, such as hyperparameters.batch_size"),
    ]


class RowPage(Page[JobRow]):
    """One page of rows."""

    next: Annotated[str | None, Field(description="`after` of the next page; null for the last one")]
    now: SpendNow
