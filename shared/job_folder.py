"""One job's folder: every path in it, its derived state, and every change of state by its name.

State is derived and never stored twice. A job with a result is terminal. Otherwise it is `running` if its newest
attempt has not ended, or has ended the job and the result is not written yet; else it is `queued`. Each change creates
one file exclusively, so that one of several concurrent callers wins, on any filesystem with hard links.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from shared.document import UnusableDocument, read_document
from shared.durable import create_file, encode, make_folder, replace_file
from shared.job import (
    AttemptEnd,
    Cancel,
    Claim,
    Conclusion,
    Ending,
    EnginePlan,
    JobRecord,
    JobResult,
    JobStatus,
    ProcessIdentity,
    StopRequest,
    TrainingProcess,
    as_json,
)
from shared.times import utc_now

SPEC_FILE = "spec.json"
RESULT_FILE = "result.json"
CANCEL_FILE = "cancel.json"
STOP_FILE = "stop.json"
PLAN_FILE = "plan.json"
ATTEMPTS = "attempts"
SYSTEM = "system"
_NUMBER = re.compile("[0-9]{1,9}")


@dataclass(frozen=True)
class AttemptFolder:
    """One attempt's folder; only the attempt's owner writes here, except `end.json`, which others may create."""

    path: Path
    number: int

    @property
    def claim_file(self) -> Path:
        return self.path / "claim.json"

    @property
    def heartbeat_file(self) -> Path:
        return self.path / "heartbeat.json"

    @property
    def process_file(self) -> Path:
        return self.path / "process.json"

    @property
    def events_file(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def training_log(self) -> Path:
        return self.path / "training_log.csv"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def manifest_file(self) -> Path:
        return self.checkpoints / "manifest.json"

    @property
    def preprocessing_file(self) -> Path:
        return self.path / "preprocessing.skops"

    @property
    def prepare_file(self) -> Path:
        """The program that prepares rows for the model, as it was during training."""
        return self.path / "prepare.py"

    @property
    def schema_file(self) -> Path:
        """The input columns, as the program that prepares rows knows them."""
        return self.path / "schema.json"

    @property
    def inference_file(self) -> Path:
        """What a program that predicts needs in addition to the model."""
        return self.path / "inference.json"

    @property
    def files(self) -> Path:
        """The working folder of a script. Its names and contents are untrusted."""
        return self.path / "files"

    @property
    def resume(self) -> Path:
        return self.path / "resume"

    @property
    def conclusion_file(self) -> Path:
        return self.path / "conclusion.json"

    @property
    def end_file(self) -> Path:
        return self.path / "end.json"

    @property
    def evaluation_file(self) -> Path:
        """Evaluation of the best model, written by the training process."""
        return self.path / "evaluation.json"

    @property
    def output_file(self) -> Path:
        """What the training program printed."""
        return self.path / "output.log"

    @property
    def system_file(self) -> Path:
        """System metrics of the attempt, not in its folder because a script may write there."""
        return self.job.path / SYSTEM / f"{self.number}.jsonl"

    @property
    def extended_spec_file(self) -> Path:
        """In an inherited attempt 0: the spec of the job that wrote its resume points."""
        return self.path / SPEC_FILE

    def extended_record(self) -> JobRecord | None:
        return read_document(self.extended_spec_file, JobRecord)

    @property
    def before(self) -> "AttemptFolder | None":
        """The attempt before this one; None for the first."""
        return AttemptFolder(self.path.parent / str(self.number - 1), self.number - 1) if self.number > 1 else None

    @property
    def job(self) -> "JobFolder":
        return JobFolder(self.path.parent.parent)

    @property
    def volume_root(self) -> Path:
        """The volume of the attempt, for a process that knows only an attempt's folder."""
        return self.job.volume_root

    def claim(self) -> Claim | None:
        return read_document(self.claim_file, Claim)

    def training_process(self) -> TrainingProcess | None:
        return read_document(self.process_file, TrainingProcess)

    def name_process(self, process: ProcessIdentity) -> None:
        """Record which process trains the attempt. Only that process calls it."""
        replace_file(self.process_file, encode(as_json(TrainingProcess(process=process))))

    def conclusion(self) -> Conclusion | None:
        return read_document(self.conclusion_file, Conclusion)

    def conclude(self, conclusion: Conclusion) -> bool:
        """Record the training process's conclusion; the first one counts."""
        return create_file(self.conclusion_file, encode(as_json(conclusion)))

    def end(self) -> AttemptEnd | None:
        return read_document(self.end_file, AttemptEnd)

    def close(self, end: AttemptEnd) -> bool:
        """End the attempt.

        Among its owner and the workers that consider it lost, the first one wins and gets True. No reader sees events
        that are written after this.
        """
        told = self.events_file.stat().st_size if self.events_file.exists() else 0
        return create_file(self.end_file, encode(as_json(end.model_copy(update={"events_bytes": told}))))


@dataclass(frozen=True)
class JobState:
    """A job's state, from its files at one moment."""

    status: JobStatus
    record: JobRecord
    cancel: Cancel | None
    result: JobResult | None
    attempt: AttemptFolder | None
    claim: Claim | None
    end: AttemptEnd | None

    @property
    def lacked_data(self) -> bool:
        """Whether its newest attempt was handed back because the dataset was not on the volume."""
        return self.end is not None and self.end.error is not None and self.end.error.code == "data_missing"


@dataclass(frozen=True)
class JobFolder:
    """One job's folder."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def volume_root(self) -> Path:
        return self.path.parents[2]

    @property
    def spec_file(self) -> Path:
        return self.path / SPEC_FILE

    @property
    def cancel_file(self) -> Path:
        return self.path / CANCEL_FILE

    @property
    def stop_file(self) -> Path:
        return self.path / STOP_FILE

    @property
    def result_file(self) -> Path:
        return self.path / RESULT_FILE

    @property
    def plan_file(self) -> Path:
        return self.path / PLAN_FILE

    @property
    def attempts_folder(self) -> Path:
        return self.path / ATTEMPTS

    def store(self, record: JobRecord, *resting_on: Path, draft: Path | None = None) -> bool:
        """Create the job; False if it exists. The folders `resting_on` are synced before it exists.

        So is its shard, but not the folder above, in which the shard may be new. `draft`: see `create_file`.
        """
        try:
            self.path.mkdir(exist_ok=True)
        except FileNotFoundError:
            # Only the shard: if the folder above it is missing, the volume is unavailable.
            self.path.parent.mkdir(exist_ok=True)
            self.path.mkdir(exist_ok=True)
        return create_file(self.spec_file, encode(as_json(record)), *resting_on, self.path.parent, draft=draft)

    def record(self) -> JobRecord | None:
        return read_document(self.spec_file, JobRecord)

    def is_untouched(self) -> bool:
        """Whether the job has no attempt, cancellation or result yet, by listing its folder once.

        False if the folder cannot be read.
        """
        try:
            return [entry.name for entry in os.scandir(self.path)] == [SPEC_FILE]
        except OSError:
            return False

    def cancel(self) -> Cancel | None:
        return read_document(self.cancel_file, Cancel)

    def result(self) -> JobResult | None:
        return read_document(self.result_file, JobResult)

    def attempts(self) -> list[AttemptFolder]:
        """The claimed attempts, oldest first."""
        try:
            numbers = sorted(
                int(entry.name) for entry in self.attempts_folder.iterdir() if _NUMBER.fullmatch(entry.name)
            )
        except FileNotFoundError:
            return []
        except NotADirectoryError as error:
            raise UnusableDocument(f"{ATTEMPTS} is not a folder") from error
        folders = [AttemptFolder(self.attempts_folder / str(number), number) for number in numbers]
        return [folder for folder in folders if folder.claim_file.exists()]

    def running_attempt(self) -> AttemptFolder | None:
        """The newest attempt if it has not ended, by the names of files alone."""
        attempts = self.attempts()
        return attempts[-1] if attempts and not attempts[-1].end_file.exists() else None

    @property
    def inherited(self) -> AttemptFolder:
        """What a job inherited from the one that it continues: attempt 0, which is never claimed."""
        return AttemptFolder(self.attempts_folder / "0", 0)

    def runs(self) -> list[AttemptFolder]:
        """All parts of the job's run, oldest first: attempt 0 if it inherited one, and its attempts."""
        return [*([self.inherited] if self.inherited.events_file.exists() else []), *self.attempts()]

    def state(self) -> JobState | None:
        """The job's state, or None if there is no such job.

        The cancel is read before the attempts: if the job then is queued, it was cancelled while no worker had it, and
        a worker that claims it meanwhile finds the request. The result is read last: a job that got its result during
        these reads is terminal, not running.
        """
        record, cancel = self.record(), self.cancel()
        if record is None:
            return None
        attempts = self.attempts()
        attempt = attempts[-1] if attempts else None
        claim = attempt.claim() if attempt else None
        end = attempt.end() if attempt else None
        result = self.result()
        status = derived_status(result, end, attempt is not None)
        return JobState(status, record, cancel, result, attempt, claim, end)

    def check(self) -> None:
        """Raise UnusableDocument if this version cannot read a document that another attempt at the job would need."""
        self.plan()
        self.inherited.extended_record()
        for attempt in self.attempts():
            attempt.claim()
            attempt.end()

    def take(self, claim: Claim) -> AttemptFolder | None:
        """Claim attempt `claim.attempt`. Condition: the attempt before it has ended. None if another owner has it.

        Also None if the condition is not met, or the job's folder does not exist: it was deleted, or the volume is
        unavailable.
        """
        attempt = AttemptFolder(self.attempts_folder / str(claim.attempt), claim.attempt)
        if attempt.before is not None and attempt.before.end() is None:
            return None
        try:
            make_folder(attempt.path, within=self.path)
        except FileNotFoundError:
            return None
        return attempt if create_file(attempt.claim_file, encode(as_json(claim))) else None

    def plan(self) -> EnginePlan | None:
        """How the job is computed; None before an attempt has decided that."""
        return read_document(self.plan_file, EnginePlan)

    def keep_to(self, plan: EnginePlan) -> None:
        """Decide how the job is computed. The first decision counts, for all attempts."""
        create_file(self.plan_file, encode(as_json(plan)))

    def request_cancel(self) -> Cancel:
        """Request the job's cancellation. The first request counts and is returned."""
        create_file(self.cancel_file, encode(as_json(Cancel(requested_at=utc_now()))))
        standing = self.cancel()
        assert standing is not None
        return standing

    def stop_request(self) -> StopRequest | None:
        return read_document(self.stop_file, StopRequest)

    def request_stop(self, request: StopRequest) -> bool:
        """Request the stop of a trial by its sweep; the first request counts."""
        return create_file(self.stop_file, encode(as_json(request)))

    def settle(self, ending: Ending, attempt: int | None) -> bool:
        """Record the job's terminal state. Condition: it has none; the first one is final."""
        result = JobResult(finished_at=utc_now(), attempt=attempt, ending=ending)
        return create_file(self.result_file, encode(as_json(result)))


def is_waiting(folder: str) -> bool:
    """Whether the job in this folder is queued, by the names of its files alone, so that a long queue costs little.

    Also true, for a moment, for a job that its last attempt has ended and that has no result yet.
    """
    if os.path.exists(f"{folder}/{RESULT_FILE}") or not os.path.exists(f"{folder}/{SPEC_FILE}"):  # noqa: PTH110
        return False
    # Three checks for each job of a queue of ten thousand, so without Path.
    return not os.path.exists(f"{folder}/{ATTEMPTS}") or JobFolder(Path(folder)).running_attempt() is None  # noqa: PTH110


def derived_status(result: JobResult | None, end: AttemptEnd | None, has_attempt: bool) -> JobStatus:  # noqa: FBT001
    """A job's state, from its result and its newest attempt's end."""
    if result is not None:
        return result.ending.status
    # An end that decides the job makes it terminal only with its result. If it were queued until then, it could be
    # cancelled or claimed again.
    return "running" if has_attempt and (end is None or end.ending is not None) else "queued"
