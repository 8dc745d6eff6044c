"""What an attempt's events tell of its time and its curve, read on from where the last look ended.

A job that was interrupted has several attempts. Each goes on at a place of one before it, so the run that counts is a
line from the newest attempt back to the first; what an attempt did behind the place that the next one took up was
trained for nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from shared.events import Event, read_events
from shared.job import AttemptEnd, Claim, JobRecord, JobResult
from shared.job_folder import AttemptFolder, JobFolder
from shared.progress import EpochProgress
from shared.times import parse_time

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(text: str) -> int:
    """The moment that `text` (RFC 3339) names, in microseconds since 1970."""
    return (parse_time(text) - _UNIX) // timedelta(microseconds=1)


@dataclass(frozen=True)
class EpochTold:
    """An epoch that ended. `ended` is in microseconds since 1970; `best_epoch` is the best one by then, or None."""

    epoch: int
    ended: int
    seconds: float
    metrics: dict[str, float | None]
    best_epoch: int | None


@dataclass(frozen=True, order=True)
class Place:
    """How far a run is: whole epochs done, and batches of the next."""

    epochs: int = 0
    batches: int = 0


@dataclass(frozen=True)
class AttemptHistory:
    """One attempt. `began` is when its model was ready (microseconds since 1970), None where that was never told.

    `resumed` is the place where it went on, of attempt `from_attempt`; None where it began at the beginning.
    """

    number: int
    claim: Claim
    end: AttemptEnd | None
    began: int | None = None
    training_rows: int | None = None
    resumed: Place | None = None
    from_attempt: int | None = None
    epochs: Sequence[EpochTold] = ()

    @property
    def has_trained(self) -> bool:
        """Whether it said where in the run it is."""
        return bool(self.epochs) or self.resumed is not None


@dataclass(frozen=True)
class JobHistory:
    """A job with all its attempts, oldest first."""

    record: JobRecord
    result: JobResult | None
    attempts: Sequence[AttemptHistory]

    def used(self) -> dict[int, Place | None]:
        """For each attempt how far its work was taken up by the next one in line; None for the newest: all of it."""
        by_number = {attempt.number: attempt for attempt in self.attempts}
        used: dict[int, Place | None] = {attempt.number: Place() for attempt in self.attempts}
        newest = next((attempt for attempt in reversed(self.attempts) if attempt.has_trained), None)
        for attempt in self.attempts:
            if newest is None or attempt.number >= newest.number:
                used[attempt.number] = None
        while newest is not None and newest.resumed is not None and newest.from_attempt in by_number:
            used[newest.from_attempt] = newest.resumed
            newest = by_number[newest.from_attempt] if newest.from_attempt < newest.number else None
        return used

    def epochs(self) -> list[EpochTold]:
        """The epochs of the run that counts, each once, from 1 on."""
        used = self.used()
        kept = [told for attempt in self.attempts for told in _within(attempt.epochs, used[attempt.number])]
        return sorted(kept, key=lambda told: told.epoch)

    def best_epoch(self) -> int | None:
        """The best epoch: the one that the stop names, else the one that the last epoch knew; None before one."""
        stop = self.result.ending.stop if self.result else None
        if stop is not None and stop.best_epoch is not None:
            return stop.best_epoch
        epochs = self.epochs()
        return epochs[-1].best_epoch if epochs else None


def _within(epochs: Sequence[EpochTold], used: Place | None) -> Iterator[EpochTold]:
    return (told for told in epochs if used is None or told.epoch <= used.epochs)


@dataclass
class _AttemptReader:
    """Reads one attempt's events once, however often it is asked."""

    attempt: AttemptFolder
    offset: int = 0
    began: int | None = None
    training_rows: int | None = None
    resumed: Place | None = None
    from_attempt: int | None = None
    epochs: list[EpochTold] = field(default_factory=list)

    def read_on(self) -> AttemptHistory | None:
        """The attempt as it is now; None for one whose claim cannot be read yet."""
        claim, end = self.attempt.claim(), self.attempt.end()
        if claim is None:
            return None
        for offset, event in read_events(self.attempt.events_file, self.offset, end.events_bytes if end else None):
            self.offset = offset
            self._take(event)
        return AttemptHistory(
            number=self.attempt.number,
            claim=claim,
            end=end,
            began=self.began,
            training_rows=self.training_rows,
            resumed=self.resumed,
            from_attempt=self.from_attempt,
            epochs=tuple(self.epochs),
        )

    def _take(self, event: Event) -> None:
        if event.type == "epoch":
            told = _epoch(event)
            if told is not None:
                self.epochs.append(told)
        elif event.type == "data":
            self.training_rows = _whole(event.data.get("training_rows"))
        elif event.type == "model" or "from_attempt" in event.data:
            self.began = microseconds(event.time)
            self._take_place(event.data)

    def _take_place(self, facts: dict[str, Any]) -> None:
        epoch, batch, earlier = (_whole(facts.get(name)) for name in ("epoch", "batch", "from_attempt"))
        if epoch is not None and batch is not None and earlier is not None:
            self.resumed, self.from_attempt = Place(epoch - 1, batch), earlier


class JobReader:
    """Reads one job, and only what is new when it is asked again. Not for two threads at once."""

    def __init__(self, job: JobFolder) -> None:
        self._job = job
        self._attempts: dict[int, _AttemptReader] = {}

    def read_on(self) -> JobHistory | None:
        """The job as it is now; None where it is gone.

        The result is read first: behind it nothing is written any more.
        """
        result, record = self._job.result(), self._job.record()
        if record is None:
            return None
        found = (self._reader(attempt).read_on() for attempt in self._job.attempts())
        return JobHistory(record, result, tuple(attempt for attempt in found if attempt is not None))

    def _reader(self, attempt: AttemptFolder) -> _AttemptReader:
        return self._attempts.setdefault(attempt.number, _AttemptReader(attempt))


def _epoch(event: Event) -> EpochTold | None:
    """The epoch of an event; None where it does not say it whole."""
    try:
        told = EpochProgress.model_validate(event.data)
    except ValidationError:
        return None
    by_patience = told.early_stopping.best_epoch if told.early_stopping else None
    by_checkpoint = told.best.epoch if told.best and not told.early_stopping else None
    return EpochTold(told.epoch, microseconds(event.time), told.seconds, told.metrics, by_patience or by_checkpoint)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None
