"""Datasets, workers, the queue, limits, keys and health."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from api.shapes.base import Count, JobId, Shape, Time
from api.shapes.jobs import EpochPage
from api.state.key_store import KeyStatus, Scope
from shared.dataset import DatasetInfo
from shared.document import FORMAT
from shared.ids import ProgramVersion
from shared.program import ProgramFile
from shared.weights import WeightsInfo
from shared.worker_card import WorkerCard


class Dataset(DatasetInfo):
    """Dataset and its profile."""

    format: SkipJsonSchema[int] = Field(default=FORMAT, exclude=True)
    object: Literal["dataset"]


class ModelWeights(WeightsInfo):
    """Uploaded weights of a model."""

    format: SkipJsonSchema[int] = Field(default=FORMAT, exclude=True)
    object: Literal["model_weights"]


class UnfinishedUpload(Shape):
    """Upload that has begun and is not a dataset yet. `offset` is the number of bytes that have arrived."""

    object: Literal["upload"]
    id: str
    dataset_id: str
    length: Count
    offset: Count
    kept_seconds: Annotated[int, Field(description="Time without progress after which the upload is removed")]


class _ProgramFacts(Shape):
    id: str
    version: Annotated[ProgramVersion, Field(description="SHA-256 of the paths and the contents of its files")]
    project: str
    created_at: Time
    bytes: int
    file_count: int


class ProgramSummary(_ProgramFacts):
    """Latest version of a program."""

    object: Literal["program_summary"]


class Program(_ProgramFacts):
    """Version of a program. `versions` lists the newest 100, and `broken` the `.py` files that do not compile."""

    object: Literal["program"]
    files: list[ProgramFile]
    default_entry: Annotated[str | None, Field(description="Script that runs if a job names no entry")]
    has_requirements: Annotated[bool, Field(description="Whether there is a requirements.txt at the top")]
    broken: dict[str, str]
    warnings: list[str]
    versions: list[ProgramVersion]
    version_count: int


class DatasetImage(Shape):
    """Image of a dataset; `width` and `height` are its own, not those of `thumbnail`."""

    object: Literal["dataset_image"]
    path: str
    label: str
    split: Literal["", "train", "validation", "test"]
    width: int
    height: int
    thumbnail: Annotated[str, Field(description="Small PNG or JPEG as a data URI", pattern="^data:image/")]


WorkerStatus = Literal["ready", "busy", "starting", "paused", "unfit", "draining", "lost"]


class Worker(WorkerCard):
    """Last report of a worker, and its age."""

    format: SkipJsonSchema[int] = Field(default=FORMAT, exclude=True)
    object: Literal["worker"]
    status: WorkerStatus
    last_seen_seconds: float


# fmt: off
WaitReason = Literal[
    "next", "busy", "no_worker", "no_code_worker", "too_few_devices", "starting", "unfit", "draining", "backoff",
    "volume", "data_missing",
]
# fmt: on


class Waits(Shape):
    """Reason why a job waits; `until` is the earliest time of its next attempt."""

    reason: WaitReason
    detail: str
    ahead: Annotated[int, Field(ge=0, description="Number of jobs ahead in the queue")]
    until: Time | None


class QueuedJob(Shape):
    """Job in the queue."""

    object: Literal["queued_job"]
    id: JobId
    project: str
    name: str
    priority: Annotated[int, Field(ge=0, le=9)]
    position: Annotated[int, Field(ge=1)]
    created_at: Time
    waits: Waits


class JobLimits(Shape):
    """Limits of a job."""

    bytes: int
    json_depth: int
    table_bytes: Annotated[int, Field(description="Training rows times features times 4 bytes")]
    batch_bytes: Annotated[int, Field(description="Batch size times the widest layer times 4 bytes")]
    epochs: int
    parameters: int
    classes: int
    categories_of_a_column: int
    failures: Annotated[int, Field(description="Failed attempts in a row without progress after which the job fails")]
    losses: Annotated[int, Field(description="Lost attempts in a row without progress after which the job fails")]


class DatasetLimits(Shape):
    """Limits of a dataset."""

    bytes: Annotated[int, Field(description="Bytes of a table")]
    columns: int
    cells: int
    image_dataset_bytes: Annotated[int, Field(description="Bytes of all images, packed and unpacked")]
    array_dataset_bytes: Annotated[int, Field(description="Bytes of all arrays, packed and unpacked")]
    images: int
    image_bytes: Annotated[int, Field(description="Bytes of one image file")]
    image_pixels: Annotated[int, Field(description="Width times height of one image")]
    classes: Annotated[int, Field(description="Classes of images")]
    ingest_seconds: Annotated[float, Field(description="Time to parse an upload, per started GiB")]


class ModelLimits(Shape):
    """Limits of uploaded weights."""

    bytes: int


class ProgramLimits(Shape):
    """Limits of a program."""

    bytes: Annotated[int, Field(description="Bytes of all files, packed and unpacked")]
    files: int


class RequestLimits(Shape):
    """Limits of a request."""

    streams: int
    wait_seconds: int


class KeyLimits(Shape):
    """Limits of an API key."""

    requests_per_minute: int
    unfinished_jobs: int
    uploads_at_once: int
    upload_bytes_per_day: int
    streams: Annotated[int, Field(description="Concurrent event streams and waiting requests, in one process")]
    costly_reads: Annotated[int, Field(description="Concurrent requests for usage, replays, forecasts, new bundles")]


class Quota(Shape):
    """Quota of a project, and how much of it is used. `used` may be some seconds old."""

    limit: float
    used: float


class ProjectLimits(Shape):
    """Quotas of the caller's project; null: no limit. A month is a calendar month in UTC."""

    name: str
    weight: Annotated[int, Field(ge=1, description="Number of turns in the queue")]
    bytes: Quota | None
    unfinished_jobs: Quota | None
    gpu_seconds_per_month: Quota | None
    cost_per_month: Quota | None
    currency: Annotated[str, Field(description="Currency of the cost")]
    month: Annotated[str, Field(pattern=r"^\d{4}-\d\d$")]


class Limits(Shape):
    """Limits of this service."""

    object: Literal["limits"]
    job: JobLimits
    dataset: DatasetLimits
    model: ModelLimits
    program: ProgramLimits
    request: RequestLimits
    key: KeyLimits
    project: ProjectLimits


class Key(Shape):
    """API key, without the secret."""

    object: Literal["key"]
    id: str
    name: str
    scope: Scope
    project: str
    status: KeyStatus
    created_at: Time | None
    expires_at: Time | None
    revoked_at: Time | None


class ListedKey(Key):
    """API key, and when it was last used, to the minute."""

    last_used_at: Time | None


class NewKey(Key):
    """New API key. The secret `key` is in this answer only."""

    key: str


class Alive(Shape):
    """Answer of a running process."""

    status: Literal["ok"]
    version: str


class Check(Shape):
    """Result of one check."""

    ok: bool
    detail: str


class Checks(Shape):
    """Checks of what a job needs to be stored, queued and trained, and of the sender of webhooks."""

    volume: Check
    redis: Check
    workers: Check
    webhooks: Check


class Ready(Shape):
    """Whether a job posted now would run, and the checks."""

    status: Literal["ready", "not_ready"]
    checks: Checks


EpochPage.model_rebuild()
