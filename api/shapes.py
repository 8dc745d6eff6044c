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
from shared.spec import JobSpec
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


class JobWorker(_Shape):
    """Where a job runs or ran last."""

    host: str
    device: str
    slot: Count


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


class Job(_Shape):
    """One job. When it is over, `stop` says why, with the evidence."""

    id: JobId
    object: Literal["job"]
    name: str
    retry_of: Annotated[JobId | None, Field(description="the job that this one tries anew")]
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
    worker: JobWorker | None
    error: JobError | None
    failures: list[Failure]
    max_failures: int
    warnings: list[str]
    task: Task
    spec: JobSpec
    urls: JobUrls


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
    status: Literal["ready", "busy", "starting", "draining", "lost"]
    last_seen_seconds: float


class Waits(_Shape):
    """Why a job waits; `until` is the earliest time of its next attempt."""

    reason: Literal["next", "busy", "no_worker", "starting", "draining", "backoff"]
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
