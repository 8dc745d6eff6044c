"""Ledger, usage, replay and forecast of jobs."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from api.shapes.base import Count, JobId, Shape
from shared.progress import LastImprovement
from shared.spec import EarlyStoppingSpec


class Parts(Shape):
    """Parts of the compute time; they add up to `total`."""

    start_up: float
    learning: float
    patience: float
    redone: float
    saving: float
    total: float


class GpuSeconds(Parts):
    """Compute time of each part in seconds."""


class Avoided(Shape):
    """Compute time avoided by stopping: the epochs not run, times the median epoch."""

    epochs: Count
    gpu_seconds: float


class PartCosts(Parts):
    """Cost of each part in one currency."""

    currency: str
    avoided: float


class LedgerSums(Shape):
    """Sums of compute time and cost, used and avoided."""

    waiting_seconds: Annotated[float, Field(description="Time queued and between attempts, by the volume's clock")]
    gpu_seconds: GpuSeconds
    avoided: Avoided
    costs: list[PartCosts]
    unpriced_gpu_seconds: Annotated[float, Field(description="Compute time on workers without a price")]
    uncharged_gpu_seconds: Annotated[
        float,
        Field(description="Time from the end of the runs to the exit of their processes; not part of the compute time"),
    ]


class Ledger(LedgerSums):
    """Ledger of one job, up to the last time recorded in its files."""

    median_epoch_seconds: float | None


class EpochRange(Shape):
    """Quantiles of an epoch."""

    p10: int
    p50: int
    p90: int


class SecondsRange(Shape):
    """Quantiles of a duration in seconds."""

    p10: float
    p50: float
    p90: float


class CostRange(SecondsRange):
    """Cost of these seconds."""

    currency: str | None


class Forecast(Shape):
    """Forecast of the epoch at which a running job stops. Without a forecast, `reason` says why."""

    object: Literal["forecast"]
    job: JobId
    epoch: Annotated[int, Field(ge=0, description="Last finished epoch")]
    epochs: int
    stop: EpochRange | None
    seconds_left: SecondsRange | None
    costs_left: list[CostRange]
    chance_of_better: Annotated[float, Field(ge=0, le=1)] | None
    reason: str | None


class Amount(Shape):
    """Amount of money."""

    currency: str | None
    amount: float


class ReplayedStop(Shape):
    """Epoch and reason of the replayed stop."""

    reason: Literal["early_stopping", "epochs_completed"]
    epoch: int


class ReplayedModel(Shape):
    """Best value of the monitor up to the replayed stop, and how much worse it is than that of the whole run."""

    best_value: float | None
    lost: float | None


class ReplaySaved(Shape):
    """Time and cost of the epochs after the replayed stop."""

    epochs: Count
    gpu_seconds: float
    costs: list[Amount]


class Replay(Shape):
    """Stop of a job under other settings; `known` is false if it lies after the job's last epoch."""

    object: Literal["replay"]
    job: JobId
    early_stopping: EarlyStoppingSpec
    known: bool
    stop: ReplayedStop | None
    last_improvement: LastImprovement | None
    last_epoch: int
    model: ReplayedModel
    saved: ReplaySaved | None
    text: str


class PatienceRow(Shape):
    """One patience, replayed on many jobs; `unknown` counts those that would have continued after their last epoch."""

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
    """Every patience, replayed on the jobs of one monitor."""

    monitor: str
    jobs: Count
    smallest_patience: Annotated[int | None, Field(description="Smallest patience whose loss is within the tolerance")]
    rows: list[PatienceRow]


class LeftOut(Shape):
    """Job that is in no table, and the reason."""

    job: JobId
    reason: str


class PatienceTables(Shape):
    """Table for each monitor."""

    object: Literal["patience_tables"]
    tolerance: float
    data: list[PatienceTable]
    left_out: list[LeftOut]


class HourlyCost(Shape):
    """Cost of an hour in one currency."""

    currency: str
    per_hour: float


class SpendNow(Shape):
    """Cost per hour of the attempts that run now; those on workers without a price are only counted."""

    running: Annotated[Count, Field(description="Jobs that run now")]
    unpriced: Annotated[Count, Field(description="Jobs that run on workers without a price")]
    costs: list[HourlyCost]


class UsageTotal(LedgerSums):
    """Sum of the ledgers of several jobs."""

    jobs: Count


class DayUsage(UsageTotal):
    """Usage of one day (UTC)."""

    day: str


class DatasetUsage(UsageTotal):
    """Usage of one dataset."""

    dataset: str


class KeyUsage(UsageTotal):
    """Usage by the jobs of one API key."""

    key: str


class ProjectUsage(UsageTotal):
    """Usage by the jobs of one project."""

    project: str


class WorkerUsage(UsageTotal):
    """Usage of one worker's host."""

    worker: str


class Usage(Shape):
    """Compute time of the jobs that ended in a period, in groups."""

    model_config = ConfigDict(strict=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    object: Literal["usage"]
    by: Literal["day", "dataset", "key", "project", "worker"]
    first: Annotated[str, Field(alias="from", json_schema_extra={"format": "date"})]
    to: Annotated[str, Field(json_schema_extra={"format": "date"})]
    data: list[DayUsage | DatasetUsage | KeyUsage | ProjectUsage | WorkerUsage]
    total: UsageTotal
    now: Annotated[SpendNow, Field(description="Jobs that run now; they are not in the sums")]
