"""One sweep's folder: every path in it, and every change of its state by name.

sweep.json                 SweepRecord   what is searched; by the API, once
trials/<number>.json       TrialRecord   a proposed trial; created exclusively, before its job
trials/<number>.refused.json  Refusal    its spec was refused: no job will be made
shares/<number>.json       Shares        the budget, divided among the unfinished trials; created exclusively
trials/<number>.deleted                  empty: its job is deleted; by the API, before the deletion
quota/<number>.json        QuotaWord     whether a quota of its project delays the next trial; by the API
cancelled.json             SweepCancel   the request to cancel the rest of the sweep; by the API
end.json                   SweepEnd      why no more trials are proposed; none is unfinished
extensions/<number>.json   Extension     more trials, or more budget; created exclusively, by the API
end.<number>.json          SweepEnd      how the sweep ended after the extension with this number

The exclusive create of a trial's file decides its number. The job is made under the id in that file, so any process
that finds a trial without its job makes it: a trial is never lost, doubled, or proposed twice.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

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
    """`sweep.json`: a fully resolved sweep.

    `data_sha256` are those that its jobs may have. `uploads` are those that its jobs need, such as "dataset grades",
    "program cats" and "weights mine"; older versions stored none.
    """

    id: str
    created_at: Time
    spec: SweepSpec
    data_sha256: tuple[str, ...]
    uploads: tuple[str, ...] = ()
    key_id: str | None = None
    project: ProjectName = DEFAULT_PROJECT


class TrialRecord(Document):
    """`trials/<number>.json`. `unfinished` are the earlier trials whose results the proposal did not know.

    Older versions stored a `budget`: a limit for its job.
    """

    number: Count
    parameters: dict[str, Any]
    job: JobId
    proposed_at: Time
    unfinished: tuple[Count, ...] = ()
    budget: Budget | None = None


class Refusal(Document):
    """`trials/<number>.refused.json`: why the spec of a trial was refused."""

    refused_at: Time
    error: JobError


class Share(BaseModel):
    """What one trial may use of the sweep's budget; `number` counts the shares of the trial from 1."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    number: Count
    budget: Budget


class Shares(Document):
    """`shares/<number>.json`: the share of each unfinished trial, by the trial's number. The newest division applies.

    A trial has its share before it is proposed, and keeps it at least until it has ended.
    """

    number: Count
    trials: dict[int, Share]


class SweepCancel(Document):
    """`cancelled.json`."""

    requested_at: Time


class Extension(Document):
    """`extensions/<number>.json`: the new maximum number of trials and the new budget. The newest extension applies.

    A sweep that had ended runs again.
    """

    extended_at: Time
    trials: Count
    budget: Budget | None


class SweepEnd(Document):
    """`end.json`: the sweep has ended. `reason` says why no more trials were proposed."""

    ended_at: Time
    reason: EndReason
    message: str


class TrialNames(NamedTuple):
    """The numbers of all proposed trials, in order, of those whose spec was refused, and whose job was deleted."""

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
    def extensions(self) -> Path:
        return self.path / "extensions"

    @property
    def cancel_file(self) -> Path:
        return self.path / "cancelled.json"

    def store(self, record: SweepRecord) -> bool:
        """Create the sweep. False if it exists already. When this returns, it is durable."""
        make_folder(self.trials)
        return create_file(self.record_file, encode(as_json(record)), self.path.parent)

    def record(self) -> SweepRecord | None:
        return read_document(self.record_file, SweepRecord)

    def trial_names(self) -> TrialNames:
        """The numbers of the trials, from the names of their files alone."""
        try:
            names = [entry.name for entry in os.scandir(self.trials)]
        except FileNotFoundError:
            names = []
        found: dict[str, list[int]] = {".json": [], ".refused.json": [], ".deleted": []}
        for match in filter(None, map(_TRIAL.fullmatch, names)):
            found[match[2]].append(int(match[1]))
        return TrialNames(sorted(found[".json"]), frozenset(found[".refused.json"]), frozenset(found[".deleted"]))

    def last_change_ns(self) -> int:
        """When a trial was last proposed or refused or its job deleted, or the sweep extended.

        In nanoseconds by the volume's clock.
        """
        extended = self.extensions.stat().st_mtime_ns if self.extensions.exists() else 0
        return max(extended, self.trials.stat().st_mtime_ns)

    def trial(self, number: int) -> TrialRecord | None:
        return read_document(self.trials / f"{number:06d}.json", TrialRecord)

    def propose(self, trial: TrialRecord) -> bool:
        """Create a trial. False if another process has proposed one with this number."""
        return create_file(self.trials / f"{trial.number:06d}.json", encode(as_json(trial)))

    def refusal(self, number: int) -> Refusal | None:
        return read_document(self.trials / f"{number:06d}.refused.json", Refusal)

    def refuse(self, number: int, error: JobError) -> None:
        """Record why no job will be made for a trial; the first refusal stands."""
        refusal = Refusal(refused_at=utc_now(), error=error)
        create_file(self.trials / f"{number:06d}.refused.json", encode(as_json(refusal)))

    def shares(self, known: Shares | None) -> Shares | None:
        """The newest division of the budget; `known` is the newest one of an earlier look."""
        while (newer := read_document(self._shares_file((known.number if known else 0) + 1), Shares)) is not None:
            known = newer
        return known

    def divide(self, shares: Shares) -> bool:
        """Store a division of the budget. False if another process has stored one with this number."""
        make_folder(self.path / "shares", within=self.path)
        return create_file(self._shares_file(shares.number), encode(as_json(shares)))

    def _shares_file(self, number: int) -> Path:
        return self.path / "shares" / f"{number:06d}.json"

    def forget_job(self, number: int) -> None:
        """Record that the job of a trial is deleted, before the deletion."""
        create_file(self.trials / f"{number:06d}.deleted", b"")

    def cancel(self) -> SweepCancel | None:
        return read_document(self.cancel_file, SweepCancel)

    def request_cancel(self) -> None:
        """Request to cancel the rest of the sweep; the first request stands."""
        create_file(self.cancel_file, encode(as_json(SweepCancel(requested_at=utc_now()))))

    def extension(self, number: int) -> Extension | None:
        return read_document(self._extension_file(number), Extension)

    def is_extended(self, number: int) -> bool:
        """Whether the sweep has an extension of this number (from 1)."""
        return self._extension_file(number).exists()

    def is_running(self) -> bool:
        """Whether the sweep has not ended, from the names of files alone."""
        extensions = len(list(self.extensions.glob("*.json"))) if self.extensions.is_dir() else 0
        return not self.end_file(extensions).exists()

    def count_extensions(self) -> int:
        number = 0
        while self.is_extended(number + 1):
            number += 1
        return number

    def extend(self, number: int, extension: Extension) -> bool:
        """Extend the sweep. False if another process has made an extension with this number.

        Raises FileNotFoundError if the sweep is gone.
        """
        make_folder(self.extensions, within=self.path)
        return create_file(self._extension_file(number), encode(as_json(extension)))

    def _extension_file(self, number: int) -> Path:
        return self.extensions / f"{number:06d}.json"

    def ending(self, extensions: int = 0) -> SweepEnd | None:
        """How the sweep ended after this number of extensions; None while it runs."""
        return read_document(self.end_file(extensions), SweepEnd)

    def end(self, reason: EndReason, message: str, extensions: int = 0) -> bool:
        """End the sweep as it is after this number of extensions; the first end stands."""
        end = SweepEnd(ended_at=utc_now(), reason=reason, message=message)
        return create_file(self.end_file(extensions), encode(as_json(end)))

    def end_file(self, extensions: int) -> Path:
        """The file of the sweep's end after this number of extensions."""
        return self.path / (f"end.{extensions}.json" if extensions else "end.json")


def sweep_folder(volume: Volume, sweep_id: str) -> SweepFolder:
    """The folder of a sweep, which need not exist yet. The id must be valid."""
    return SweepFolder(volume.root / "sweeps" / sweep_id)


def find_sweep(volume: Volume, sweep_id: str) -> SweepFolder | None:
    """The folder of an existing sweep; None for any other id, without a look outside the volume."""
    folder = sweep_folder(volume, sweep_id) if is_sweep_id(sweep_id) else None
    return folder if folder is not None and folder.record_file.exists() else None


def sweep_ids(volume: Volume) -> list[str]:
    """The ids of all sweeps, newest first."""
    try:
        names = [entry.name for entry in os.scandir(volume.root / "sweeps")]
    except FileNotFoundError:
        return []
    return sorted((name for name in names if is_sweep_id(name)), reverse=True)
