"""Datasets, workers, the queue, limits, keys and health."""

from typing import Annotated, Literal

from pydantic import Field

from api.key_store import KeyStatus, Scope
from api.shapes.base import JobId, Shape, Time
from api.shapes.jobs import EpochPage
from shared.dataset import DatasetInfo
from shared.worker_card import WorkerCard


class Dataset(DatasetInfo):
    """A dataset and its profile."""

    object: Literal["dataset"]


class Worker(WorkerCard):
    """What a worker last said of itself, and how long ago that was."""

    object: Literal["worker"]
    status: Literal["ready", "busy", "starting", "paused", "unfit", "draining", "lost"]
    last_seen_seconds: float


class Waits(Shape):
    """Why a job waits; `until` is the earliest time of its next attempt."""

    reason: Literal["next", "busy", "no_worker", "starting", "unfit", "draining", "backoff", "volume", "data_missing"]
    detail: str
    ahead: Annotated[int, Field(ge=0, description="jobs that are served first")]
    until: Time | None


class QueuedJob(Shape):
    """A job that waits."""

    object: Literal["queued_job"]
    id: JobId
    name: str
    priority: Annotated[int, Field(ge=0, le=9)]
    position: Annotated[int, Field(ge=1)]
    created_at: Time
    waits: Waits


class JobLimits(Shape):
    """What a job may ask for at most."""

    bytes: int
    json_depth: int
    epochs: int
    parameters: int
    classes: int
    categories_of_a_column: int
    failures: Annotated[int, Field(description="failed attempts in a row without progress until the job has failed")]
    losses: Annotated[int, Field(description="lost attempts in a row without progress until the job has failed")]


class DatasetLimits(Shape):
    """How large a dataset may be."""

    bytes: int
    columns: int
    cells: int
    ingest_seconds: float


class RequestLimits(Shape):
    """What a request may take."""

    streams: int
    wait_seconds: int


class KeyLimits(Shape):
    """What one API key may take."""

    requests_per_minute: int
    unfinished_jobs: int
    uploads_at_once: int
    upload_bytes_per_day: int


class Limits(Shape):
    """What this service takes at most."""

    object: Literal["limits"]
    job: JobLimits
    dataset: DatasetLimits
    request: RequestLimits
    key: KeyLimits


class Key(Shape):
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


class Alive(Shape):
    """The process answers."""

    status: Literal["ok"]
    version: str


class Check(Shape):
    """What one check found."""

    ok: bool
    detail: str


class Checks(Shape):
    """What a job needs to be stored, heard and trained."""

    volume: Check
    redis: Check
    workers: Check


class Ready(Shape):
    """Whether a job posted now would run."""

    status: Literal["ready", "not_ready"]
    checks: Checks


EpochPage.model_rebuild()
