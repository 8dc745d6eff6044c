"""The documents of a job, one class for each file on the volume, each written once and never changed.

spec.json        JobRecord    the spec, and the hash of its data; by the API
plan.json        EnginePlan   how it is computed; by the first attempt, before its first epoch
cancel.json      Cancel       a request to cancel it; by the API
stop.json        StopRequest  its sweep stops it; by a worker
shares/<n>.json  SweepShare   what it may use of its sweep's budget; by a worker
result.json      JobResult    how it ended; created once
attempts/<n>/
  claim.json     Claim        who owns the attempt; by the worker
  process.json   TrainingProcess  which process trains; by the training process
  conclusion.json Conclusion  how the run ended; by the training process
  end.json       AttemptEnd   how the attempt ended; by its worker, or the one that found it lost
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.document import Document
from shared.progress import Best, Count, EpochProgress, LastImprovement, Seconds, take_old_names
from shared.project import DEFAULT_PROJECT, ProjectName
from shared.spec import AnyJobSpec, Budget, JobSpec, ProgramJobSpec
from shared.task import Task
from shared.times import Time

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
TerminalStatus = Literal["succeeded", "failed", "cancelled"]
TERMINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Ancestor(_Part):
    """A model that another one was trained from: the job that trained it, its file there, and its epoch (from 1)."""

    job: str
    name: str | None = None
    checkpoint: str
    sha256: str
    epoch: Count


class TrialOf(_Part):
    """The sweep that a job is a trial of, and the trial's number (from 1)."""

    id: str
    trial: Count


class JobRecord(Document):
    """`spec.json`: the complete spec, and the hash of the data at the time of the post.

    `retry_of` is the job that this one retries, `extends` the one that it continues: from its last resume point or from
    its best checkpoint, as `extends_from` says.
    `key_id` is the API key that posted it, if that was recorded, and `project` the key's project.
    `weights_sha256` is the hash of the uploaded weights that its model starts from, None without such weights.
    `lineage` is the model of an earlier job that it starts from, and the ancestors of that model, newest first.
    For a job that runs a program, `task` is None, `program_version` is the version that runs, `datasets_sha256` has the
    `data_sha256` of each dataset that it may read, and its own `data_sha256` is that of all of them (`pin_program`).
    `sweep` is the sweep that it is a trial of, None if it is no trial.
    """

    id: str
    created_at: Time
    spec: AnyJobSpec
    task: Task | None
    data_sha256: str
    warnings: tuple[str, ...] = ()
    retry_of: str | None = None
    extends: str | None = None
    extends_from: Literal["last", "best"] | None = None
    key_id: str | None = None
    weights_sha256: str | None = None
    lineage: tuple[Ancestor, ...] = ()
    project: ProjectName = DEFAULT_PROJECT
    program_version: str | None = None
    datasets_sha256: dict[str, str] = Field(default_factory=dict)
    sweep: TrialOf | None = None

    @property
    def data_spec(self) -> JobSpec:
        """The spec of a job that names its data and model. Raises ValueError for a job that runs a program."""
        if isinstance(self.spec, ProgramJobSpec):
            raise ValueError(f"{self.id} runs a program and names no data")
        return self.spec

    @property
    def data_task(self) -> Task:
        """The task of a job that names its data and model. Raises ValueError for a job that runs a program."""
        if self.task is None:
            raise ValueError(f"{self.id} runs a program and has no task")
        return self.task


def pin_program(version: str, datasets: Mapping[str, str]) -> str:
    """The `data_sha256` of a job that runs a version of a program. `datasets`: `data_sha256` of each dataset by id."""
    lines = [f"program {version}\n", *(f"{sha256} {name}\n" for name, sha256 in sorted(datasets.items()))]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


class EnginePlan(Document):
    """`plan.json`: the engine, decided once, with the reason in a sentence.

    Another plan could change the numbers, so a resumed run keeps it on every machine. `threads`: TensorFlow's threads
    for one operation. `validation_batch`: rows. `steps_per_epoch` includes a last partial batch. `devices` share each
    batch. `rewrites_graphs`: whether TensorFlow optimizes a traced graph before it runs; true in older versions.
    """

    engine: Literal["fused", "stock"]
    xla: bool
    threads: int
    validation_batch: int
    steps_per_epoch: int
    reason: str
    devices: int = 1
    rewrites_graphs: bool = True


class Cancel(Document):
    """`cancel.json`: a request to cancel the job."""

    requested_at: Time


class JobError(_Part):
    """Reason of a failure: a code for programs, and a message that says how to fix it."""

    code: str
    message: str


class BudgetUsed(_Part):
    """The limit of a job's budget that ended it, and how much of it was used up by then.

    `limit` and `used` are seconds, an amount of `currency`, or times (RFC 3339), depending on `kind`. `sweep` is the
    id of the sweep whose budget it is; None for the job's own.
    """

    kind: Literal["max_gpu_seconds", "max_cost", "deadline"]
    limit: float | str
    used: float | str
    currency: str | None = None
    sweep: str | None = None


class Outclassed(_Part):
    """Why the rule of a sweep (`forecast`, `asha` or `median`) stopped a trial: it cannot win.

    `value` is the trial's best value of `monitor` after `epoch` (from 1). The rule compared it with `to_beat`, from
    `trials` trials. For `forecast`, `to_beat` is the best value of the sweep, from trial `best_trial`, and `chance` is
    the probability that the trial still beats it, which was below `min_chance`.
    """

    rule: str
    monitor: str
    epoch: Count
    value: float
    to_beat: float
    trials: Count
    best_trial: Count | None = None
    chance: float | None = None
    min_chance: float | None = None


class StopRequest(Document):
    """`stop.json`: the sweep of the job stops it, because it cannot win.

    Older versions also wrote it when the sweep's budget was used up.
    """

    requested_at: Time
    outclassed: Outclassed | None = None
    budget: BudgetUsed | None = None


class SweepShare(Document):
    """`shares/<number>.json`: what a trial may use of its sweep's budget. The newest share counts."""

    sweep: str
    budget: Budget


class Stop(_Part):
    """Why training stopped, with the evidence. Epochs count from 1.

    `reason` can be extended; in use: epochs_completed, early_stopping, diverged, budget, outclassed, cancelled, error,
    callback, script_ended. `best` is the best saved model. `monitor`, `last_improvement`, `wait` and `patience` are
    those of early stopping, null if it is off. `epochs_not_run` counts the epochs up to the maximum. `budget` is the
    limit that was used up, `outclassed` why a trial of a sweep could not win.
    """

    reason: str
    best: Best | None = None
    monitor: str | None = None
    last_improvement: LastImprovement | None = None
    wait: Count | None = None
    patience: Count | None = None
    last_epoch: Count = 0
    epochs_not_run: Count = 0
    budget: BudgetUsed | None = None
    outclassed: Outclassed | None = None

    @model_validator(mode="before")
    @classmethod
    def _accept_old_names(cls, data: Any) -> Any:
        """Accept `best_epoch` of older versions: early stopping's epoch or, if that was off, the best model's."""
        rest, old = take_old_names(data)
        if old is None or rest.get("patience") is not None:
            return rest if rest is data else {"last_improvement": old, **rest}
        best = {"epoch": old["epoch"], "monitor": rest.get("monitor"), "value": old["value"]}
        return {"best": best, **rest, "monitor": None}

    def with_best(self, progress: EpochProgress | None) -> Self:
        """The stop, with the best model of the last epoch if an older version did not record it."""
        if self.best is not None or progress is None:
            return self
        return self.model_copy(update={"best": progress.best})


class Ending(_Part):
    """A job's terminal state and its reasons."""

    status: TerminalStatus
    stop: Stop | None = None
    error: JobError | None = None


class JobResult(Document):
    """`result.json`. `attempt` is the attempt that ended the job, None for a job that was cancelled in the queue."""

    finished_at: Time
    attempt: Count | None
    ending: Ending


class ProcessIdentity(_Part):
    """One process of one machine. `machine` names the boot and the namespaces in which `pid` means this process.

    `started` is its start in clock ticks since the machine's boot, because pids are reused.
    """

    machine: str
    pid: int
    started: int


class Claim(Document):
    """`claim.json`: `attempt` is the fencing token, `owner` a worker's name, new at each of its starts.

    The price is that of all `devices` at the claim; None if its worker does not know it. `memory_bytes` is the memory
    of its machine or container, None in the files of older versions. `process` is the worker's process; None if its
    machine cannot identify it. `devices` is the number of GPUs that the attempt trains on.
    """

    attempt: Count
    owner: str
    host: str
    pid: Count
    slot: Count
    device: str
    claimed_at: Time
    gpu_price_per_hour: float | None = Field(default=None, ge=0, le=1e6, allow_inf_nan=False)
    currency: str | None = None
    memory_bytes: Count | None = None
    process: ProcessIdentity | None = None
    devices: int = Field(default=1, ge=1)

    @property
    def price_per_device(self) -> float | None:
        """The price of one of its devices for an hour; None if the worker does not know it."""
        return None if self.gpu_price_per_hour is None else self.gpu_price_per_hour / self.devices


class TrainingProcess(Document):
    """`process.json`: the process that trains the attempt. It writes this file before any other there."""

    process: ProcessIdentity


class Conclusion(Document):
    """`conclusion.json` of the training process: an ending, or None if it hands the job back.

    `may_retry` says whether another attempt could end otherwise; `place` is where the run was, as `epoch:step`.
    `held_seconds` is the time that is charged, from the claim, by the machine's monotonic clock: until everything was
    saved and, after the limit of the budget, only for the batch that was running then. `wants_restart`: the process
    hands the job back by itself, because it must begin again.
    """

    ending: Ending | None
    may_retry: bool = False
    wants_restart: bool = False
    place: str | None = None
    held_seconds: Seconds | None = None


class AttemptEnd(Document):
    """`end.json`: the end of an attempt, after which it has no effect.

    With `ending` the job has finished; a worker that finds no `result.json` writes one from it. Without, the job is
    queued again: `outcome` says why, and no worker takes it before `retry_at`. `is_failure` and `is_loss` say against
    which of the job's limits it counts, `has_progress` whether it left a resume point after the place where it began.
    `place` is where the run last was, as `epoch:step` from 0. `events_bytes` was the length of `events.jsonl` at the
    end: later events of a superseded owner are ignored. `held_seconds` is the charged time for which the attempt held
    its GPU, by its owner's monotonic clock: until its conclusion, if it has one; for a lost attempt until its last
    heartbeat and one interval more. None in the files of older versions. `uncharged_seconds` is how long it held its
    GPU after that, until its process had ended.
    """

    outcome: Literal["finished", "handed_back", "lost", "failed"]
    ended_at: Time
    error: JobError | None = None
    is_failure: bool = False
    is_loss: bool = False
    has_progress: bool = False
    retry_at: Time | None = None
    place: str | None = None
    events_bytes: Count | None = None
    held_seconds: Seconds | None = None
    uncharged_seconds: Seconds = 0.0
    ending: Ending | None = None

    @property
    def counts_as_loss(self) -> bool:
        """Whether it counts against `max_losses`. Files of versions without `is_loss` use other fields for it."""
        return self.is_loss or self.outcome == "lost" or (self.is_failure and self._code == "killed")

    @property
    def counts_as_failure(self) -> bool:
        """Whether it counts against `max_failures`."""
        return self.is_failure and not self.counts_as_loss

    @property
    def _code(self) -> str | None:
        return self.error.code if self.error else None


def as_json(document: Document) -> dict[str, Any]:
    """The document as JSON values, for its file."""
    return document.model_dump(mode="json")
