"""The shapes of all answers, as models. Nothing is made with them: they are what the API's document says, and what the
tests hold real answers against.
"""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from api.key_store import KeyStatus, Scope
from shared.dataset import DatasetInfo
from shared.events import Level
from shared.job import JobError, JobStatus, Stop
from shared.manifest import Checkpoint as SavedCheckpoint
from shared.progress import Best, Patience, PlateauWait
from shared.spec import EarlyStoppingSpec, JobSpec
from shared.task import Task
from shared.worker_card import WorkerCard

_Item = TypeVar("_Item")

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, UTC")]
JobId = Annotated[str, Field(pattern=r"^job_[0-9A-HJKMNP-TV-Z]{26}$")]
Path = Annotated[str, Field(description="a path of this API", pattern="^/")]
Count = Annotated[int, Field(ge=0)]


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class Page(_Shape, Generic[_Item]):
    """One page of a list."""

    object: Literal["list"]
    data: list[_Item]
    has_more: bool


class ProblemItem(_Shape):
    """One thing that is wrong, at one place of what was sent."""

    pointer: Annotated[str, Field(description="a JSON pointer as a URI fragment")]
    detail: str
    code: str


class ProblemDocument(_Shape):
    """What is wrong (RFC 9457); `errors` lists every problem of a 422 at once."""

    type: str
    title: str
    status: int
    detail: str
    code: Annotated[str, Field(description="a word for programs")]
    request_id: str
    errors: list[ProblemItem] = []


class Progress(_Shape):
    """The last epoch that was trained."""

    epoch: int
    epochs: int
    metrics: dict[str, float | None]
    best: Best | None
    learning_rate: float
    epoch_seconds: float
    early_stopping: Patience | None
    reduce_lr: PlateauWait | None
    updated_at: Time


class CheckpointSummary(_Shape):
    """How many models are kept, and which is the best."""

    count: Count
    best: str | None
    bytes: Count


class Engine(_Shape):
    """How a job is computed: decided before its first epoch, with the reason, and kept to by every attempt."""

    engine: Literal["fused", "stock"]
    xla: bool
    threads: Count
    validation_batch: Annotated[int, Field(ge=1, description="rows")]
    steps_per_epoch: Annotated[int, Field(ge=1)]
    reason: str


class JobWorker(_Shape):
    """Where a job runs or ran last, and what an hour there costs; null where nobody has set that."""

    host: str
    device: str
    slot: Count
    gpu_price_per_hour: float | None
    currency: str | None


class Failure(_Shape):
    """An attempt after which the job was queued again."""

    attempt: int
    outcome: Literal["finished", "handed_back", "lost", "failed"]
    code: str | None
    message: str | None
    is_failure: bool
    ended_at: Time


class JobUrls(_Shape):
    """Where the rest of a job is."""

    self: Path
    events: Path
    epochs: Path
    log: Path
    checkpoints: Path
    model: Path
    bundle: Path
    cancel: Path
    retry: Path
    extend: Path


class GpuSeconds(_Shape):
    """What the time on GPUs went into; the parts add up to `total`."""

    start_up: float
    learning: float
    patience: float
    redone: float
    saving: float
    total: float


class Avoided(_Shape):
    """What stopping left unpaid: epochs that were not run, times the median epoch."""

    epochs: Count
    gpu_seconds: float


class PartCosts(_Shape):
    """What each part cost in one currency."""

    currency: str
    start_up: float
    learning: float
    patience: float
    redone: float
    saving: float
    total: float
    avoided: float


class LedgerSums(_Shape):
    """What time on GPUs was paid for, and what was avoided."""

    waiting_seconds: float
    gpu_seconds: GpuSeconds
    avoided: Avoided
    costs: list[PartCosts]
    unpriced_gpu_seconds: Annotated[float, Field(description="on workers whose price nobody has set")]


class Ledger(LedgerSums):
    """One job's ledger, up to the last moment that its files tell of."""

    median_epoch_seconds: float | None


class Job(_Shape):
    """One job. When it is over, `stop` says why, with the evidence."""

    id: JobId
    object: Literal["job"]
    name: str
    retry_of: Annotated[JobId | None, Field(description="the job that this one tries anew")]
    extends: Annotated[JobId | None, Field(description="the job that this one carries on with")]
    extends_from: Annotated[Literal["last", "best"] | None, Field(description="its last resume point or best model")]
    status: JobStatus
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    cancel_requested_at: Time | None
    updated_at: Time
    queue_position: Annotated[int, Field(ge=1)] | None
    attempt: Annotated[int, Field(ge=0, description="how often a worker has taken the job")]
    progress: Progress | None
    stop: Stop | None
    checkpoints: CheckpointSummary
    engine: Engine | None
    worker: JobWorker | None
    error: JobError | None
    failures: list[Failure]
    max_failures: int
    warnings: list[str]
    task: Task
    spec: JobSpec
    urls: JobUrls
    ledger: Annotated[Ledger | None, Field(description="not in lists")] = None


class DryRun(_Shape):
    """What would run: the spec with nothing left open, and the model's size in `task`."""

    object: Literal["dry_run"]
    warnings: list[str]
    task: Task
    spec: JobSpec


class Dataset(DatasetInfo):
    """A dataset and its profile."""

    object: Literal["dataset"]


class Event(_Shape):
    """One thing that happened in a job; `id` is the cursor behind it."""

    id: str
    attempt: int
    time: Time
    type: str
    level: Level
    message: str
    data: dict[str, Any]


class EventPage(Page[Event]):
    """One page of a job's events, oldest first; `next` is the cursor behind the last one."""

    next: str


class Epoch(_Shape):
    """One epoch of a job. A metric that was not finite is null."""

    epoch: int
    metrics: dict[str, float | None]
    learning_rate: float
    seconds: float


class EpochPage(Page[Epoch]):
    """Epochs in order. Where `sampled` says so, not all of those that were asked for are here."""

    sampled: "Sample | None"


class Sample(_Shape):
    """How many of how many epochs are shown; the first, the last and the best always are."""

    of: int
    shown: int


class Checkpoint(SavedCheckpoint):
    """One saved model."""

    object: Literal["checkpoint"]
    is_best: bool
    url: Path


class Worker(WorkerCard):
    """What a worker last said of itself, and how long ago that was."""

    object: Literal["worker"]
    status: Literal["ready", "busy", "starting", "unfit", "draining", "lost"]
    last_seen_seconds: float


class Waits(_Shape):
    """Why a job waits; `until` is the earliest time of its next attempt."""

    reason: Literal["next", "busy", "no_worker", "starting", "unfit", "draining", "backoff"]
    detail: str
    ahead: Annotated[int, Field(ge=0, description="jobs that are served first")]
    until: Time | None


class QueuedJob(_Shape):
    """A job that waits."""

    object: Literal["queued_job"]
    id: JobId
    name: str
    priority: Annotated[int, Field(ge=0, le=9)]
    position: Annotated[int, Field(ge=1)]
    created_at: Time
    waits: Waits


class Explanation(_Shape):
    """Why a job waits, runs or stopped; `text` is its sentences in one."""

    object: Literal["explanation"]
    job: JobId
    status: JobStatus
    sentences: list[str]
    text: str


class EpochRange(_Shape):
    """An epoch as quantiles of what may come."""

    p10: int
    p50: int
    p90: int


class SecondsRange(_Shape):
    """Seconds as quantiles of what may come."""

    p10: float
    p50: float
    p90: float


class CostRange(SecondsRange):
    """What these seconds cost."""

    currency: str | None


class Forecast(_Shape):
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


class Amount(_Shape):
    """Money."""

    currency: str | None
    amount: float


class ReplayedStop(_Shape):
    """Where and why it would have stopped."""

    reason: Literal["early_stopping", "epochs_completed"]
    epoch: int


class ReplayedModel(_Shape):
    """The best model by then, and how much worse it is than the best of the whole run."""

    best_value: float | None
    lost: float | None


class ReplaySaved(_Shape):
    """What the epochs behind the stop took."""

    epochs: Count
    gpu_seconds: float
    costs: list[Amount]


class Replay(_Shape):
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


class PatienceRow(_Shape):
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


class PatienceTable(_Shape):
    """Every patience over the jobs of one monitor."""

    monitor: str
    jobs: Count
    smallest_patience: Annotated[int | None, Field(description="the smallest that loses no more than the tolerance")]
    rows: list[PatienceRow]


class LeftOut(_Shape):
    """A job that is in no table, and why."""

    job: JobId
    reason: str


class PatienceTables(_Shape):
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


class Usage(_Shape):
    """What the jobs that ended in these days held GPUs for, in groups."""

    model_config = ConfigDict(strict=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    object: Literal["usage"]
    by: Literal["day", "dataset", "key", "worker"]
    first: Annotated[str, Field(alias="from", json_schema_extra={"format": "date"})]
    to: Annotated[str, Field(json_schema_extra={"format": "date"})]
    data: list[DayUsage | DatasetUsage | KeyUsage | WorkerUsage]
    total: UsageTotal


class JobLimits(_Shape):
    """What a job may ask for at most."""

    bytes: int
    json_depth: int
    epochs: int
    parameters: int
    classes: int
    categories_of_a_column: int
    failures: int


class DatasetLimits(_Shape):
    """How large a dataset may be."""

    bytes: int
    columns: int
    cells: int
    ingest_seconds: float


class RequestLimits(_Shape):
    """What a request may take."""

    streams: int
    wait_seconds: int


class KeyLimits(_Shape):
    """What one API key may take."""

    requests_per_minute: int
    unfinished_jobs: int
    uploads_at_once: int
    upload_bytes_per_day: int


class Limits(_Shape):
    """What this service takes at most."""

    object: Literal["limits"]
    job: JobLimits
    dataset: DatasetLimits
    request: RequestLimits
    key: KeyLimits


class Key(_Shape):
    """An API key, without the key itself."""

    object: Literal["key"]
    id: str
    name: str
    scope: Scope
    status: KeyStatus
    created_at: Time | None
    expires_at: Time | None
    revoked_at: Time | None


class ListedKey(Key):
    """An API key, and when it was last used, to the minute."""

    last_used_at: Time | None


class NewKey(Key):
    """A key that was made just now: the only answer that ever holds it."""

    key: str


class Alive(_Shape):
    """The process answers."""

    status: Literal["ok"]
    version: str


class Check(_Shape):
    """What one check found."""

    ok: bool
    detail: str


class Checks(_Shape):
    """What a job needs to be stored, heard and trained."""

    volume: Check
    redis: Check
    workers: Check


class Ready(_Shape):
    """Whether a job posted now would run."""

    status: Literal["ready", "not_ready"]
    checks: Checks


EpochPage.model_rebuild()
