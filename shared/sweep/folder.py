"""One sweep's folder: every path in it, and every change of its state by name.

sweep.json                 SweepRecord   what is searched; by the API, once
trials/<number>.json       TrialRecord   a proposed trial; created exclusively, before its job
trials/<number>.refused.json  Refusal    its spec was refused: no job will be made
trials/<number>.deleted                  empty: somebody deleted its job; by the API, before it does
cancelled.json             SweepCancel   nobody wants the rest of it; by the API
end.json                   SweepEnd      why no trial is proposed any more, and that none is unfinished

The number of a trial is decided by the exclusive create of its file. The job is made under the id that the file names,
so any process that finds a trial without its job makes it: a trial is never lost, doubled, or proposed twice.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from shared.document import Document, read_document
from shared.durable import create_file, encode, make_folder
from shared.ids import JobId, is_sweep_id
from shared.job import JobError, as_json
from shared.progress import Count
from shared.project import DEFAULT_PROJECT, ProjectName
from shared.spec import Budget
from shared.sweep.spec import SweepSpec
from shared.times import Time, utc_now
from shared.volume import Volume

EndReason = Literal["completed", "budget", "cancelled", "failed_trials", "data_changed"]

_TRIAL = re.compile(r"([0-9]{6})(\.json|\.refused\.json|\.deleted)")


class SweepRecord(Document):
    """`sweep.json`: a sweep with nothing left open. `data_sha256` are those that its jobs may have."""

    id: str
    created_at: Time
    spec: SweepSpec
    data_sha256: tuple[str, ...]
    key_id: str | None = None
    project: ProjectName = DEFAULT_PROJECT


class TrialRecord(Document):
    """`trials/<number>.json`. `unfinished` are the earlier trials whose results the proposal did not know.

    `budget` is what the trial may use up of the sweep's budget; None where that has none.
    """

    number: Count
    parameters: dict[str, Any]
    job: JobId
    proposed_at: Time
    unfinished: tuple[Count, ...] = ()
    budget: Budget | None = None


class Refusal(Document):
    """`trials/<number>.refused.json`: why the spec of a trial is no job."""

    refused_at: Time
    error: JobError


class SweepCancel(Document):
    """`cancelled.json`."""

    requested_at: Time


class SweepEnd(Document):
    """`end.json`: the sweep has ended. `reason` says why nothing more was proposed."""

    ended_at: Time
    reason: EndReason
    message: str


class TrialNames(NamedTuple):
    """The numbers of all trials that were proposed, in order, of those whose spec was refused, and whose job was
    deleted.
    """

    proposed: list[int]
    refused: frozenset[int]
    deleted: frozenset[int]


@dataclass(frozen=True)
class SweepFolder:
    """One sweep's folder."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def record_file(self) -> Path:
        return self.path / "sweep.json"

    @property
    def trials(self) -> Path:
        return self.path / "trials"

    @property
    def cancel_file(self) -> Path:
        return self.path / "cancelled.json"

    @property
    def end_file(self) -> Path:
        return self.path / "end.json"

    def store(self, record: SweepRecord) -> bool:
        """Make the sweep exist; False where it does already. When this returns it is safe."""
        make_folder(self.trials)
        return create_file(self.record_file, encode(as_json(record)), self.path.parent)

    def record(self) -> SweepRecord | None:
        return read_document(self.record_file, SweepRecord)

    def trial_names(self) -> TrialNames:
        """What the names of the trials' files alone say."""
        try:
            names = [entry.name for entry in os.scandir(self.trials)]
        except FileNotFoundError:
            names = []
        found: dict[str, list[int]] = {".json": [], ".refused.json": [], ".deleted": []}
        for match in filter(None, map(_TRIAL.fullmatch, names)):
            found[match[2]].append(int(match[1]))
        return TrialNames(sorted(found[".json"]), frozenset(found[".refused.json"]), frozenset(found[".deleted"]))

    def changed(self) -> int:
        """When a trial was last proposed or refused or its job deleted, in nanoseconds by the volume's clock."""
        return self.trials.stat().st_mtime_ns

    def trial(self, number: int) -> TrialRecord | None:
        return read_document(self.trials / f"{number:06d}.json", TrialRecord)

    def propose(self, trial: TrialRecord) -> bool:
        """Make a trial exist; False where another process has proposed one of this number."""
        return create_file(self.trials / f"{trial.number:06d}.json", encode(as_json(trial)))

    def refusal(self, number: int) -> Refusal | None:
        return read_document(self.trials / f"{number:06d}.refused.json", Refusal)

    def refuse(self, number: int, error: JobError) -> None:
        """Say that no job will be made of a trial, and why; the first word stands."""
        refusal = Refusal(refused_at=utc_now(), error=error)
        create_file(self.trials / f"{number:06d}.refused.json", encode(as_json(refusal)))

    def forget_job(self, number: int) -> None:
        """Say that the job of a trial is deleted, before it is."""
        create_file(self.trials / f"{number:06d}.deleted", b"")

    def cancel(self) -> SweepCancel | None:
        return read_document(self.cancel_file, SweepCancel)

    def request_cancel(self) -> None:
        """Say that nobody wants the rest of the sweep; the first request stands."""
        create_file(self.cancel_file, encode(as_json(SweepCancel(requested_at=utc_now()))))

    def ending(self) -> SweepEnd | None:
        return read_document(self.end_file, SweepEnd)

    def end(self, reason: EndReason, message: str) -> bool:
        """End the sweep; the first one stands."""
        return create_file(self.end_file, encode(as_json(SweepEnd(ended_at=utc_now(), reason=reason, message=message))))


def sweep_folder(volume: Volume, sweep_id: str) -> SweepFolder:
    """Where a sweep lies or will lie; the id has been checked by then."""
    return SweepFolder(volume.root / "sweeps" / sweep_id)


def find_sweep(volume: Volume, sweep_id: str) -> SweepFolder | None:
    """The folder of a sweep that exists; None for everything else, without a look outside the volume."""
    folder = sweep_folder(volume, sweep_id) if is_sweep_id(sweep_id) else None
    return folder if folder is not None and folder.record_file.exists() else None


def sweep_ids(volume: Volume) -> list[str]:
    """The ids of all sweeps, newest first."""
    try:
        names = [entry.name for entry in os.scandir(volume.root / "sweeps")]
    except FileNotFoundError:
        return []
    return sorted((name for name in names if is_sweep_id(name)), reverse=True)
