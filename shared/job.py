"""The documents of a job, one class for each file on the volume, each written once and never changed.

spec.json        JobRecord    what is to be done; by the API
plan.json        EnginePlan   how it is computed; by the first attempt, before its first epoch
cancel.json      Cancel       somebody does not want it any more; by the API
result.json      JobResult    how it ended, for ever; whoever creates it first
attempts/<n>/
  claim.json     Claim        whose attempt this is; the worker
  conclusion.json Conclusion  how the training program says it ended; the training child
  end.json       AttemptEnd   how the attempt ended; its worker, or whoever found it lost
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from shared.document import Document
from shared.spec import JobSpec
from shared.task import Task

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
TerminalStatus = Literal["succeeded", "failed", "cancelled"]
TERMINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class JobRecord(Document):
    """`spec.json`: the spec with nothing left open, and the data as it was on the day the job was posted.

    `retry_of` is the job that this one tries anew, `extends` the one that it carries on with: from its last resume
    point or from its best checkpoint, as `extends_from` says.
    `key_id` is the API key that posted it, where that was written down.
    """

    id: str
    created_at: str
    spec: JobSpec
    task: Task
    data_sha256: str
    warnings: tuple[str, ...] = ()
    retry_of: str | None = None
    extends: str | None = None
    extends_from: Literal["last", "best"] | None = None
    key_id: str | None = None


class EnginePlan(Document):
    """`plan.json`: the engine, decided once, with the reason in a sentence.

    Other choices would give other bits, so a resumed run keeps to it whatever machine it goes on on. `threads`:
    TensorFlow's for one operation. `validation_batch`: rows. `steps_per_epoch` counts a last partial batch.
    """

    engine: Literal["fused", "stock"]
    xla: bool
    threads: int
    validation_batch: int
    steps_per_epoch: int
    reason: str


class Cancel(Document):
    """`cancel.json`."""

    requested_at: str


class JobError(_Part):
    """Why a job failed: a word for programs, and a sentence for people that says how to mend it."""

    code: str
    message: str


class BudgetUsed(_Part):
    """The limit of a job's budget that ended it, and how much of it was used up by then.

    `limit` and `used` are seconds, an amount of `currency`, or two moments (RFC 3339), as `kind` says.
    """

    kind: Literal["max_gpu_seconds", "max_cost", "deadline"]
    limit: float | str
    used: float | str
    currency: str | None = None


class Stop(_Part):
    """Why training stopped, with the evidence. Epochs count from 1.

    `reason` is an open word: epochs_completed, early_stopping, diverged, budget, cancelled, error. `wait` and
    `patience` are those of early stopping, None where it is off; `epochs_not_run` is what the spec allowed and
    nobody paid for; `budget` is what a stop by the budget rests on.
    """

    reason: str
    monitor: str | None = None
    best_epoch: int | None = None
    best_value: float | None = None
    wait: int | None = None
    patience: int | None = None
    last_epoch: int = 0
    epochs_not_run: int = 0
    budget: BudgetUsed | None = None


class Ending(_Part):
    """A job's terminal state and its reasons."""

    status: TerminalStatus
    stop: Stop | None = None
    error: JobError | None = None


class JobResult(Document):
    """`result.json`. `attempt` is the one that brought it, None for a job that was cancelled in the queue."""

    finished_at: str
    attempt: int | None
    ending: Ending


class Claim(Document):
    """`claim.json`: `attempt` is the fencing token, `owner` a worker's name, new at each of its starts.

    The price is that of the slot's GPU on the day of the claim; None where its worker does not know it.
    """

    attempt: int
    owner: str
    host: str
    pid: int
    slot: int
    device: str
    claimed_at: str
    gpu_price_per_hour: float | None = None
    currency: str | None = None


class Conclusion(Document):
    """`conclusion.json`: the training program's own word: an ending, or None where it hands the job back.

    `may_retry` says whether another attempt could end otherwise; `place` is where the run was, as `epoch:step`.
    """

    ending: Ending | None
    may_retry: bool = False
    place: str | None = None


class AttemptEnd(Document):
    """`end.json`: the moment at which an attempt can have no more effect.

    With `ending` the job is over; whoever finds no `result.json` beside it writes one from it. Without, the job is
    queued again: `outcome` says why, `is_failure` whether that counts against the job's limit, and nobody takes it
    before `retry_at`. `place` is where the run last was, as `epoch:step` from 0.
    `events_bytes` is how long `events.jsonl` was at that moment: nobody reads what a superseded owner writes behind it.
    """

    outcome: Literal["finished", "handed_back", "lost", "failed"]
    ended_at: str
    error: JobError | None = None
    is_failure: bool = False
    retry_at: str | None = None
    place: str | None = None
    events_bytes: int | None = None
    ending: Ending | None = None


def stored(document: Document) -> dict[str, Any]:
    """The document as JSON values, for its file."""
    return document.model_dump(mode="json")
