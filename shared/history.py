"""The time and the curve of an attempt, from its events, read incrementally.

A job that was interrupted has several attempts. Each continues from a point of an earlier one, so the effective run is
the line from the newest attempt back to the first; epochs of an attempt after the point that the next one resumed were
wasted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from shared.epoch_columns import NO_EPOCHS, EpochColumns, EpochRows, EpochTold
from shared.events import Event, read_events
from shared.fits import FitCall, Kept
from shared.held import held_by, moment_of
from shared.job import AttemptEnd, Claim, JobRecord, JobResult, JobStatus
from shared.job_folder import AttemptFolder, JobFolder, derived_status
from shared.points import Place
from shared.progress import EpochProgress
from shared.spec import EarlyStoppingSpec, JobSpec


@dataclass(frozen=True)
class AttemptHistory:
    """One attempt. `began` is when everything was ready to train, None if it never reported that.

    `began` and `held`, how long it held its GPU until its end or the last event, are in microseconds since the claim.
    `claimed` is when the claim was written, by the volume's clock: microseconds since 1970.
    `resumed` is the place of attempt `from_attempt` from which it continued; None if it began from the start. `inexact`
    are the reasons why its numbers may differ from those of an uninterrupted run. `fit` is the last call of `fit` of a
    program's script, and `limits` are the reasons why an interruption of a call would not be exact.
    """

    number: int
    claim: Claim
    end: AttemptEnd | None
    held: int
    claimed: int
    began: int | None = None
    training_rows: int | None = None
    resumed: Place | None = None
    from_attempt: int | None = None
    epochs: EpochRows = NO_EPOCHS
    inexact: Mapping[str, Kept] = field(default_factory=dict)
    fit: FitCall | None = None
    limits: Mapping[str, Kept] = field(default_factory=dict)

    @property
    def has_trained(self) -> bool:
        """Whether it has reported a position."""
        return bool(self.epochs) or self.resumed is not None


@dataclass(frozen=True)
class JobHistory:
    """A job with all its attempts, oldest first, and its inherited epochs: attempt 0, whose time is another job's.

    `posted` and `settled` are when its record and its result were written, by the volume's clock.
    """

    record: JobRecord
    result: JobResult | None
    attempts: Sequence[AttemptHistory]
    posted: int
    settled: int | None = None
    inherited: EpochRows = NO_EPOCHS

    @property
    def status(self) -> JobStatus:
        """The job's state."""
        return derived_status(self.result, self.attempts[-1].end if self.attempts else None, bool(self.attempts))

    def used(self) -> dict[int, Place | None]:
        """For each attempt, and for the inherited part (0), the position up to which the next one used its work.

        None for the newest: all of it.
        """
        by_number = {attempt.number: attempt for attempt in self.attempts}
        used: dict[int, Place | None] = {number: Place() for number in (0, *by_number)}
        newest = next((attempt for attempt in reversed(self.attempts) if attempt.has_trained), None)
        if newest is None:
            used[0] = None
        for attempt in self.attempts:
            if newest is None or attempt.number >= newest.number:
                used[attempt.number] = None
        while newest is not None and newest.resumed is not None and newest.from_attempt in used:
            used[newest.from_attempt] = newest.resumed
            newest = by_number.get(newest.from_attempt) if newest.from_attempt < newest.number else None
        return used

    def epochs(self) -> list[EpochTold]:
        """The epochs of the effective run, each once, from 1."""
        used = self.used()
        kept = [
            told
            for number, epochs in self._epochs_told()
            for told in epochs
            if (until := used[number]) is None or told.epoch <= until.epochs
        ]
        return sorted(kept, key=lambda told: told.epoch)

    def newest_rows(self, after: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The reported epochs after `after`, in order, and for each the index of its last row, as `row` takes it."""
        numbers = np.concatenate([rows.columns()[0] for _, rows in self._epochs_told()])
        epochs, from_behind = np.unique(numbers[::-1], return_index=True)
        return epochs[epochs > after], (len(numbers) - 1 - from_behind)[epochs > after]

    def row(self, place: int) -> EpochTold:
        """One of all rows, by its index in the order of the attempts and their reports."""
        for _, rows in self._epochs_told():
            if place < len(rows):
                return rows.row(place)
            place -= len(rows)
        raise IndexError(place)

    @property
    def bytes(self) -> int:
        """The memory that the epochs take."""
        return sum(rows.bytes for _, rows in self._epochs_told())

    def last_epoch(self) -> EpochTold | None:
        """The last epoch of the effective run; None before the first."""
        used = self.used()
        for number, epochs in reversed(self._epochs_told()):
            until = used[number]
            if epochs and until is None:
                return epochs.last
            if epochs and until is not None and until.epochs:
                return max((told for told in epochs if told.epoch <= until.epochs), key=lambda told: told.epoch)
        return None

    def epoch_seconds(self) -> float | None:
        """The median seconds of the effective run's epochs; None before the first."""
        used = self.used()
        seconds = [
            column[numbers <= until.epochs] if (until := used[number]) is not None else column
            for number, epochs in self._epochs_told()
            for numbers, _, column in [epochs.columns()]
        ]
        kept = np.concatenate(seconds)
        return float(np.median(kept)) if len(kept) else None

    def best_epoch(self) -> int | None:
        """The epoch of the best saved model or, if none is saved, of the last improvement; None before either."""
        last = self.last_epoch()
        return last.best_epoch if last else None

    @property
    def fit(self) -> FitCall | None:
        """The last call of `fit` of a program's script; None for other jobs and before the first call."""
        return next((attempt.fit for attempt in reversed(self.attempts) if attempt.fit is not None), None)

    @property
    def rule(self) -> EarlyStoppingSpec | None:
        """The job's early stopping; for a program's job that of its last call of `fit`."""
        return self.fit.rule if self.fit else self.record.spec.callbacks.early_stopping

    @property
    def max_epochs(self) -> int:
        """The maximum number of epochs; for a program's job what its script has reported so far."""
        last = self.last_epoch()
        told = self.fit.epochs if self.fit else last.epoch if last else 0
        return self.record.spec.max_epochs or told

    def batch_size(self, attempt: AttemptHistory) -> int | None:
        """The rows of a batch; None if the attempt did not report it."""
        if isinstance(self.record.spec, JobSpec):
            return self.record.spec.hyperparameters.batch_size
        return attempt.fit.batch_size if attempt.fit else None

    def limits(self) -> dict[str, Kept]:
        """The reasons why an interruption of a program's job would not be exact, each with its kind.

        Without those of `inexact`, which are of interruptions that happened.
        """
        limits = {reason: kept for attempt in self.attempts for reason, kept in attempt.limits.items()}
        reported = self.inexact()
        return {reason: kept for reason, kept in limits.items() if not any(one.endswith(reason) for one in reported)}

    def inexact(self) -> dict[str, Kept]:
        """The reasons why the run may differ from an uninterrupted one, each with its kind.

        Without those of attempts whose work was dropped.
        """
        used = self.used()
        kept = (attempt.inexact for attempt in self.attempts if used[attempt.number] != Place())
        return {reason: kind for reasons in kept for reason, kind in reasons.items()}

    def _epochs_told(self) -> list[tuple[int, EpochRows]]:
        return [(0, self.inherited), *((attempt.number, attempt.epochs) for attempt in self.attempts)]


@dataclass
class _AttemptReader:
    """Reads each event of one attempt only once."""

    attempt: AttemptFolder
    offset: int = 0
    began: int | None = None
    training_rows: int | None = None
    resumed: Place | None = None
    from_attempt: int | None = None
    inexact: Mapping[str, Kept] = field(default_factory=dict)
    fit: FitCall | None = None
    limits: Mapping[str, Kept] = field(default_factory=dict)
    claim: Claim | None = None
    end: AttemptEnd | None = None
    told: int = 0
    held: int | None = None

    def __post_init__(self) -> None:
        self.epochs = EpochColumns(self.attempt.number)

    def read_on(self) -> AttemptHistory | None:
        """The attempt as it is now; None if its claim does not exist yet."""
        # Both are written once, so they are read once.
        self.claim = self.claim or self.attempt.claim()
        if self.claim is None:
            return None
        self.end = self.end or self.attempt.end()
        if self.held is None and self.end is not None:
            self.held = held_by(self.attempt, self.claim, self.end)
        self.read_events()
        return AttemptHistory(
            number=self.attempt.number,
            claim=self.claim,
            end=self.end,
            held=self.told if self.held is None else self.held,
            claimed=_write_time(self.attempt.claim_file) or 0,
            began=self.began,
            training_rows=self.training_rows,
            resumed=self.resumed,
            from_attempt=self.from_attempt,
            epochs=self.epochs.now(),
            inexact=self.inexact,
            fit=self.fit,
            limits=self.limits,
        )

    def read_events(self) -> None:
        """Read the events that are new."""
        until = self.end.events_bytes if self.end else None
        for offset, event in read_events(self.attempt.events_file, self.offset, until):
            self.offset = offset
            self._take(event)

    def _take(self, event: Event) -> None:
        if event.at is not None:
            self._moment(event)
        if event.data.get("exact") is False:
            kind: Kept = "epoch" if event.data.get("kind") == "epoch" else "inexact"
            self.inexact = {**self.inexact, event.message: kind}
        if call := FitCall.of(event):
            self.fit = call
            self.limits = {**self.limits, **dict.fromkeys(call.reasons, call.resume)}
        if event.type == "epoch":
            progress = _progress(event)
            if progress is not None:
                self.epochs.append(_row_of(progress, self._moment(event)))
        elif event.type == "data":
            self.training_rows = _whole(event.data.get("training_rows"))
        elif event.type in {"model", "engine"} or "from_attempt" in event.data:
            self.began = self._moment(event)
            self._take_place(event.data)

    def _moment(self, event: Event) -> int:
        """When an event happened, in microseconds since the claim; 0 for an inherited event, which has no claim."""
        moment = moment_of(event, self.claim) if self.claim else 0
        self.told = max(self.told, moment)
        return moment

    def _take_place(self, facts: dict[str, Any]) -> None:
        epoch, batch, earlier = (_whole(facts.get(name)) for name in ("epoch", "batch", "from_attempt"))
        if epoch is not None and batch is not None and earlier is not None:
            self.resumed, self.from_attempt = Place(epoch - 1, batch), earlier


class JobReader:
    """Reads one job, incrementally. Not thread-safe."""

    def __init__(self, job: JobFolder) -> None:
        self._job = job
        self._record: JobRecord | None = None
        self._attempts: dict[int, _AttemptReader] = {}

    def read_on(self) -> JobHistory | None:
        """The job's current state; None if it is deleted.

        The result is read first: nothing is written after it.
        """
        result = self._job.result()
        # Written once, so it is read once; whether it still exists is checked each time.
        self._record = self._record or self._job.record()
        if self._record is None or not self._job.spec_file.exists():
            return None
        inherited = self._reader(self._job.inherited)
        inherited.read_events()
        found = (self._reader(attempt).read_on() for attempt in self._job.attempts())
        attempts = tuple(attempt for attempt in found if attempt is not None)
        posted, settled = _write_time(self._job.spec_file), _write_time(self._job.result_file) if result else None
        return JobHistory(self._record, result, attempts, posted or 0, settled, inherited.epochs.now())

    def _reader(self, attempt: AttemptFolder) -> _AttemptReader:
        return self._attempts.setdefault(attempt.number, _AttemptReader(attempt))


def _progress(event: Event) -> EpochProgress | None:
    """The epoch of an event; None if the event is incomplete."""
    try:
        return EpochProgress.of(event.data)
    except ValidationError:
        return None


def _row_of(told: EpochProgress, ended: int) -> EpochTold:
    improvement = told.early_stopping.last_improvement if told.early_stopping else None
    best = told.best or improvement
    return EpochTold(
        epoch=told.epoch,
        ended=ended,
        seconds=told.seconds,
        metrics=told.metrics,
        best_epoch=best.epoch if best else None,
        learning_rate=told.learning_rate,
    )


def _write_time(file: Path) -> int | None:
    """When a file was written, in microseconds by the volume's clock, the same for all hosts; None if it is missing."""
    try:
        return file.stat().st_mtime_ns // 1000
    except FileNotFoundError:
        return None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None
