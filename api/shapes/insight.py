"""What a job cost and bought, what else it might have done, and where it will end."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from api.shapes.base import Count, JobId, Shape
from shared.spec import EarlyStoppingSpec


class Parts(Shape):
    """What time on GPUs went into; the parts add up to `total`."""

    start_up: float
    learning: float
    patience: float
    redone: float
    saving: float
    total: float


class GpuSeconds(Parts):
    """Each part in seconds."""


class Avoided(Shape):
    """What stopping left unpaid: epochs that were not run, times the median epoch."""

    epochs: Count
    gpu_seconds: float


class PartCosts(Parts):
    """What each part cost in one currency."""

    currency: str
    avoided: float


class LedgerSums(Shape):
    """What time on GPUs was paid for, and what was avoided."""

    waiting_seconds: Annotated[float, Field(description="in the queue and between attempts, by the volume's clock")]
    gpu_seconds: GpuSeconds
    avoided: Avoided
    costs: list[PartCosts]
    unpriced_gpu_seconds: Annotated[float, Field(description="on workers whose price nobody has set")]


class Ledger(LedgerSums):
    """One job's ledger, up to the last moment that its files tell of."""

    median_epoch_seconds: float | None


class EpochRange(Shape):
    """An epoch as quantiles of what may come."""

    p10: int
    p50: int
    p90: int


class SecondsRange(Shape):
    """Seconds as quantiles of what may come."""

    p10: float
    p50: float
    p90: float


class CostRange(SecondsRange):
    """What these seconds cost."""

    currency: str | None


class Forecast(Shape):
    """Where a running job will stop; where there is no forecast, `reason` says why."""

    object: Literal["forecast"]
    job: JobId
    epoch: Annotated[int, Field(ge=0, description="the last one that has ended")]
    epochs: int
    stop: EpochRange | None
    seconds_left: SecondsRange | None
    costs_left: list[CostRange]
    chance_of_better: Annotated[float, Field(ge=0, le=1)] | None
    reason: str | None


class Amount(Shape):
    """Money."""

    currency: str | None
    amount: float


class ReplayedStop(Shape):
    """Where and why it would have stopped."""

    reason: Literal["early_stopping", "epochs_completed"]
    epoch: int


class ReplayedModel(Shape):
    """The best model by then, and how much worse it is than the best of the whole run."""

    best_value: float | None
    lost: float | None


class ReplaySaved(Shape):
    """What the epochs behind the stop took."""

    epochs: Count
    gpu_seconds: float
    costs: list[Amount]


class Replay(Shape):
    """What a job would have done under other settings; `known` is false where that lies behind its last epoch."""

    object: Literal["replay"]
    job: JobId
    early_stopping: EarlyStoppingSpec
    known: bool
    stop: ReplayedStop | None
    best_epoch: int | None
    best_value: float | None
    last_epoch: int
    model: ReplayedModel
    saved: ReplaySaved | None
    text: str


class PatienceRow(Shape):
    """One patience over many jobs; `unknown` are those that would have gone on behind their last epoch."""

    patience: int
    jobs: Count
    unknown: Count
    stopped_sooner: Count
    gpu_seconds_saved: float
    jobs_worse: Count
    most_lost: float | None
    mean_lost: float | None
    costs_saved: list[Amount]


class PatienceTable(Shape):
    """Every patience over the jobs of one monitor."""

    monitor: str
    jobs: Count
    smallest_patience: Annotated[int | None, Field(description="the smallest that loses no more than the tolerance")]
    rows: list[PatienceRow]


class LeftOut(Shape):
    """A job that is in no table, and why."""

    job: JobId
    reason: str


class PatienceTables(Shape):
    """A table for each monitor."""

    object: Literal["patience_tables"]
    tolerance: float
    data: list[PatienceTable]
    left_out: list[LeftOut]


class UsageTotal(LedgerSums):
    """The ledgers of several jobs, added up."""

    jobs: Count


class DayUsage(UsageTotal):
    """Those of one day (UTC)."""

    day: str


class DatasetUsage(UsageTotal):
    """Those of one dataset."""

    dataset: str


class KeyUsage(UsageTotal):
    """Those that one API key posted."""

    key: str


class WorkerUsage(UsageTotal):
    """Those of one worker's host."""

    worker: str


class Usage(Shape):
    """What the jobs that ended in these days held GPUs for, in groups."""

    model_config = ConfigDict(strict=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    object: Literal["usage"]
    by: Literal["day", "dataset", "key", "worker"]
    first: Annotated[str, Field(alias="from", json_schema_extra={"format": "date"})]
    to: Annotated[str, Field(json_schema_extra={"format": "date"})]
    data: list[DayUsage | DatasetUsage | KeyUsage | WorkerUsage]
    total: UsageTotal
