"""A job, its events, epochs and checkpoints, and why it is where it is."""

from typing import Annotated, Any, Literal

from pydantic import Field

from api.shapes.base import Count, JobId, Page, Path, Shape, Time
from api.shapes.insight import Ledger
from shared.events import Level
from shared.job import JobError, JobStatus, Stop
from shared.manifest import Checkpoint as SavedCheckpoint
from shared.progress import Best, Patience, PlateauWait
from shared.spec import JobSpec
from shared.task import Task


class Progress(Shape):
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


class CheckpointSummary(Shape):
    """How many models are kept, and which is the best."""

    count: Count
    best: str | None
    bytes: Count


class Engine(Shape):
    """How a job is computed: decided before its first epoch, with the reason, and kept to by every attempt."""

    engine: Literal["fused", "stock"]
    xla: bool
    threads: Count
    validation_batch: Annotated[int, Field(ge=1, description="rows")]
    steps_per_epoch: Annotated[int, Field(ge=1)]
    reason: str


class JobWorker(Shape):
    """Where a job runs or ran last, and what an hour there costs; null where nobody has set that."""

    host: str
    device: str
    slot: Count
    gpu_price_per_hour: float | None
    currency: str | None


class AttemptCounts(Shape):
    """How many attempts a worker took the job for, and how they ended.

    Those in a row are counted since the last attempt with progress.
    """

    total: Count
    lost: Annotated[int, Field(ge=0, description="their worker or their process was lost: no failure of the job")]
    failed: Count
    handed_back: Count
    lost_in_a_row: Annotated[int, Field(ge=0, description="with `max_losses` of them the job has failed")]
    failed_in_a_row: Annotated[int, Field(ge=0, description="with `max_failures` of them the job has failed")]


class Failure(Shape):
    """An attempt after which the job was queued again."""

    attempt: int
    outcome: Literal["finished", "handed_back", "lost", "failed"]
    code: str | None
    message: str | None
    is_failure: Annotated[bool, Field(description="it counts against `max_failures`")]
    is_loss: Annotated[bool, Field(description="it counts against `max_losses`")]
    has_progress: Annotated[bool, Field(description="it saved the run beyond the place where it began")]
    worker: str | None
    host: str | None
    ended_at: Time


class JobUrls(Shape):
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


class Resume(Shape):
    """Whether the run is bit for bit the one that it would have been without interruptions, as far as that is known."""

    exact: bool
    reasons: Annotated[list[str], Field(description="why its numbers may differ, for each resume that was not exact")]


class SetAside(Shape):
    """A job whose documents cannot be read: damaged, or written by a newer version."""

    id: JobId
    code: Literal["damaged_record", "newer_format"]
    message: str


class Job(Shape):
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
    attempts: AttemptCounts
    failures: list[Failure]
    max_failures: int
    max_losses: int
    warnings: list[str]
    task: Task
    spec: JobSpec
    urls: JobUrls
    ledger: Annotated[Ledger | None, Field(description="not in lists")] = None
    resume: Annotated[Resume | None, Field(description="not in lists")] = None


class JobPage(Page[Job]):
    """One page of jobs; `set_aside` names those that cannot be read, and why."""

    set_aside: list[SetAside]


class DryRun(Shape):
    """What would run: the spec with nothing left open, and the model's size in `task`."""

    object: Literal["dry_run"]
    warnings: list[str]
    task: Task
    spec: JobSpec


class Event(Shape):
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


class Epoch(Shape):
    """One epoch of a job. A metric that was not finite is null."""

    epoch: int
    metrics: dict[str, float | None]
    learning_rate: float
    seconds: float


class EpochPage(Page[Epoch]):
    """Epochs in order. Where `sampled` says so, not all of those that were asked for are here."""

    sampled: "Sample | None"


class Sample(Shape):
    """How many of how many epochs are shown; the first, the last and the best always are."""

    of: int
    shown: int


class Checkpoint(SavedCheckpoint):
    """One saved model."""

    object: Literal["checkpoint"]
    is_best: bool
    url: Path


class Explanation(Shape):
    """Why a job waits, runs or stopped; `text` is its sentences in one."""

    object: Literal["explanation"]
    job: JobId
    status: JobStatus
    sentences: list[str]
    text: str
