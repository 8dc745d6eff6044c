"""Jobs, their events, epochs and checkpoints, and the explanation of their state."""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, SerializerFunctionWrapHandler, model_serializer

from api.shapes.base import Count, JobId, Page, Path, Shape, Time
from api.shapes.insight import Ledger
from api.shapes.sweeps import TrialLink
from shared.evaluation import PartResult
from shared.events import Level
from shared.fits import Kept
from shared.job import JobError, JobStatus, Stop
from shared.manifest import Checkpoint as SavedCheckpoint
from shared.progress import Best, Patience, PlateauWait
from shared.spec import AnyJobSpec, ProgramJobSpec
from shared.task import Task


def as_posted(spec: AnyJobSpec) -> dict[str, Any]:
    """The spec as a client could post it again."""
    shown = spec.model_dump(mode="json")
    if isinstance(spec, ProgramJobSpec):
        return shown
    for part, name in (("dataset", "positive"), ("hyperparameters", "loss"), ("hyperparameters", "optimizer")):
        if isinstance(value := shown[part].get(name), dict):
            shown[part][name] = {field: one for field, one in value.items() if one is not None}
    return shown


PostedSpec = Annotated[AnyJobSpec, PlainSerializer(as_posted)]


class Progress(Shape):
    """Last finished epoch."""

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
    """Number of checkpoints, their size, and the best one."""

    count: Count
    best: str | None
    bytes: Count


class Engine(Shape):
    """Engine that trains a job: chosen before the first epoch, with the reason, and used by every attempt."""

    engine: Literal["fused", "stock"]
    xla: bool
    threads: Count
    validation_batch: Annotated[int, Field(ge=1, description="Number of rows")]
    steps_per_epoch: Annotated[int, Field(ge=1)]
    reason: str
    devices: Annotated[int, Field(ge=1, description="Number of devices that share each batch")] = 1
    rewrites_graphs: Annotated[bool, Field(description="Whether TensorFlow improves a traced graph before it runs")]


class JobWorker(Shape):
    """Worker where a job runs or last ran, and its price per hour; null if no price is set."""

    host: str
    device: str
    slot: Count
    gpu_price_per_hour: float | None
    currency: str | None


class AttemptCounts(Shape):
    """Number of attempts, by their outcome.

    The counts in a row start after the last attempt with progress.
    """

    total: Count
    lost: Annotated[int, Field(ge=0, description="Attempts whose worker or process was lost: not failures of the job")]
    failed: Count
    handed_back: Count
    lost_in_a_row: Annotated[int, Field(ge=0, description="The job fails when it reaches `max_losses`")]
    failed_in_a_row: Annotated[int, Field(ge=0, description="The job fails when it reaches `max_failures`")]


class Failure(Shape):
    """Attempt after which the job was queued again."""

    attempt: int
    outcome: Literal["finished", "handed_back", "lost", "failed"]
    code: str | None
    message: str | None
    is_failure: Annotated[bool, Field(description="Whether it counts toward `max_failures`")]
    is_loss: Annotated[bool, Field(description="Whether it counts toward `max_losses`")]
    has_progress: Annotated[
        bool, Field(description="Whether it saved a later resume point than the one from which it started")
    ]
    worker: str | None
    host: str | None
    ended_at: Time


class JobUrls(Shape):
    """Paths of the other parts of a job."""

    self: Path
    events: Path
    epochs: Path
    output: Path
    system: Path
    log: Path
    checkpoints: Path
    model: Path
    evaluation: Path
    bundle: Path
    cancel: Path
    retry: Path
    extend: Path


class Resume(Shape):
    """Whether the run is known to be bit for bit the same as one without interruptions, and would stay so."""

    exact: bool
    kind: Annotated[
        Kept,
        Field(description="Effect of an interruption: none, some callbacks lose their state, or the numbers change"),
    ]
    reasons: Annotated[list[str], Field(description="Reason for each resume that was not exact, or would not be")]


class SetAside(Shape):
    """Job whose documents cannot be read: damaged, or written by a newer version."""

    id: JobId
    code: Literal["damaged_record", "newer_format"]
    message: str


class Ancestor(Shape):
    """Best model of an earlier job, as it was when the job that starts from it was posted."""

    job: JobId
    name: str | None
    checkpoint: str
    sha256: str
    epoch: Annotated[int, Field(ge=0, description="Epoch after which it was saved")]


class Job(Shape):
    """One job. When it has finished, `stop` says why, with the evidence."""

    id: JobId
    object: Literal["job"]
    project: str
    name: str
    tags: Annotated[list[str], Field(description="PATCH /jobs/{id} changes them")]
    note: Annotated[str, Field(description="Empty if there is none; PATCH /jobs/{id} changes it")]
    retry_of: Annotated[JobId | None, Field(description="Job that this one retries")]
    extends: Annotated[JobId | None, Field(description="Job that this one extends")]
    lineage: Annotated[
        list[Ancestor],
        Field(description="Models of earlier jobs that its model was fine-tuned from, newest first"),
    ]
    sweep: Annotated[TrialLink | None, Field(description="Sweep that it is a trial of")]
    extends_from: Annotated[Literal["last", "best"] | None, Field(description="Its last resume point or best model")]
    status: JobStatus
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    cancel_requested_at: Time | None
    updated_at: Time
    queue_position: Annotated[int, Field(ge=1)] | None
    attempt: Annotated[int, Field(ge=0, description="Number of the current or last attempt")]
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
    task: Annotated[Task | None, Field(description="Null for a job that runs a program")]
    spec: Annotated[PostedSpec, Field(description="In lists the `config` of a Keras model is empty")]
    urls: JobUrls
    ledger: Annotated[Ledger | None, Field(description="Omitted in lists")] = None
    resume: Annotated[Resume | None, Field(description="Omitted in lists")] = None

    @model_serializer(mode="wrap")
    def _omit_unset(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        shown: dict[str, Any] = serialize(self)
        return {name: value for name, value in shown.items() if name in self.model_fields_set}


class JobPage(Page[Job]):
    """One page of jobs; `set_aside` lists those that cannot be read, and why."""

    next: Annotated[str | None, Field(description="`after` of the next page; null for the last one")]

    set_aside: list[SetAside]


class DryRun(Shape):
    """Result of a dry run: the complete spec, and the model's size in `task`."""

    object: Literal["dry_run"]
    warnings: list[str]
    task: Annotated[Task | None, Field(description="Null for a job that runs a program")]
    spec: PostedSpec


class Event(Shape):
    """One event of a job; `id` is the cursor after it."""

    id: str
    attempt: int
    time: Time
    type: str
    level: Level
    message: str
    data: dict[str, Any]


class EventPage(Page[Event]):
    """One page of a job's events, oldest first; `next` is the cursor after the last one."""

    next: str


class OutputPiece(Shape):
    """Text that one attempt printed, with control characters as escapes.

    `skipped_bytes` before it are not kept: of long output the middle is removed.
    """

    attempt: int
    host: str | None
    text: str
    skipped_bytes: Count


class OutputPage(Page[OutputPiece]):
    """Output of the training processes in order; `next` is the cursor after it."""

    next: str


class Epoch(Shape):
    """One epoch of a job. A metric that was not finite is null."""

    epoch: int
    metrics: dict[str, float | None]
    learning_rate: float
    seconds: float


class EpochPage(Page[Epoch]):
    """Epochs in order. If `sampled` is not null, they are a sample of the requested epochs."""

    sampled: "Sample | None"


class Sample(Shape):
    """Number of epochs shown and in total. The first, the last and the best are always shown."""

    of: int
    shown: int


class Checkpoint(SavedCheckpoint):
    """One saved checkpoint."""

    object: Literal["checkpoint"]
    is_best: bool
    url: Path


class Evaluation(Shape):
    """Quality of the best model on rows not used for training. `checkpoint` is null for the model of the last epoch."""

    object: Literal["evaluation"]
    job: JobId
    computed_at: Time
    seconds: float
    task: Literal["binary", "multiclass", "regression"]
    checkpoint: str | None
    epoch: Count
    validation: PartResult
    test: Annotated[PartResult | None, Field(description="The test part; null if there is none")]


class JobFile(Shape):
    """File that a script made or changed in its working folder."""

    object: Literal["job_file"]
    path: str
    bytes: int
    changed_at: Time | None


class JobFiles(Shape):
    """Files of a job; `left_out` counts links, devices and names that are not plain UTF-8."""

    object: Literal["list"]
    data: list[JobFile]
    has_more: bool
    left_out: int


class Explanation(Shape):
    """Reason why a job waits, runs or stopped; `text` joins the sentences."""

    object: Literal["explanation"]
    job: JobId
    status: JobStatus
    sentences: list[str]
    text: str
