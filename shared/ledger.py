"""The ledger: what a job's compute time was used for.

    waiting     no GPU: in the queue, and between two attempts
    start_up    from the claim to the first epoch: process, data, model, resume
    learning    epochs up to that of the best saved model or, if none is saved, up to the last improvement
    patience    epochs after that one, to the stop
    redone      what was trained again after an interruption, and the silence until another worker took over
    saving      between two epochs and after the last one, including the evaluation of the best model

All but waiting add up to the time that the attempts held their GPUs, to the microsecond; a second on two GPUs is two
seconds. An attempt's time is cut into pieces, and each piece goes to one part. The attempt's owner measured that time
(`shared/held.py`); waiting is the time between two files by the volume's clock. `avoided` is what a stop saved: epochs
not run times the median epoch. `uncharged` is how long the GPUs were held after the charged time, at no cost.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from shared.epoch_columns import EpochRows
from shared.history import AttemptHistory, JobHistory
from shared.points import Place

PARTS = ("start_up", "learning", "patience", "redone", "saving")

_HOUR = 3_600_000_000
_NO_END = 2**62
_OWN_STOPS = frozenset({"early_stopping", "epochs_completed"})
# A trial that could not win did not need its other epochs either.
_AVOIDING_STOPS = _OWN_STOPS | {"outclassed"}


@dataclass(frozen=True)
class Held:
    """The time that one attempt held its GPUs, in microseconds by part; its host, and the price of one GPU, if known.

    `uncharged` follows these parts: the exit of its process, and saving after the limit of its budget.
    """

    host: str
    parts: dict[str, int]
    price_per_hour: float | None
    currency: str | None
    uncharged: int = 0

    @property
    def total(self) -> int:
        """The time that the attempt held its GPUs, in microseconds, each GPU by itself."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Ledger:
    """One job's ledger; times in microseconds."""

    waiting: int
    held: tuple[Held, ...]
    avoided_epochs: int
    avoided: int
    median_epoch_seconds: float | None

    def part(self, name: str) -> int:
        """One of `PARTS`, over all attempts."""
        return sum(held.parts[name] for held in self.held)

    @property
    def total(self) -> int:
        """The time that the attempts held their GPUs, each GPU by itself."""
        return sum(held.total for held in self.held)

    @property
    def unpriced(self) -> int:
        """The time of the attempts without a price."""
        return sum(held.total for held in self.held if held.price_per_hour is None)

    def costs(self) -> dict[str, dict[str, float]]:
        """The cost of each part by currency, their total, and the avoided cost at the price of the last attempt."""
        costs: dict[str, dict[str, float]] = {}
        for held in self.held:
            if held.price_per_hour is None or held.currency is None:
                continue
            cost = costs.setdefault(held.currency, dict.fromkeys((*PARTS, "total", "avoided"), 0.0))
            for name, time in held.parts.items():
                cost[name] += money(time, held.price_per_hour)
            cost["total"] += money(held.total, held.price_per_hour)
            if held is self.held[-1]:
                cost["avoided"] = money(self.avoided, held.price_per_hour)
        return costs


def money(time: int, price_per_hour: float) -> float:
    """The cost of a number of microseconds."""
    return time * price_per_hour / _HOUR


def ledger(job: JobHistory) -> Ledger:
    """The ledger of a job up to the last moment in its files."""
    typical = job.epoch_seconds()
    used, best = job.used(), job.best_epoch()
    held = tuple(
        _Cut(
            attempt, used[attempt.number], best, _batch_time(job, attempt, typical), _stopped_itself(job, attempt)
        ).parts()
        for attempt in job.attempts
    )
    not_run = _epochs_avoided(job)
    return Ledger(
        waiting=sum(_waits(job)),
        held=held,
        avoided_epochs=not_run,
        avoided=round(not_run * (typical or 0.0) * 1e6) * (job.attempts[-1].claim.devices if job.attempts else 1),
        median_epoch_seconds=typical,
    )


def _epochs_avoided(job: JobHistory) -> int:
    """Epochs that a job did not need because it stopped itself or could not win its sweep.

    A job that failed, was cancelled or used up its budget avoided nothing.
    """
    stop = job.result.ending.stop if job.result else None
    return stop.epochs_not_run if stop and stop.reason in _AVOIDING_STOPS else 0


def _waits(job: JobHistory) -> Iterator[int]:
    """The times without a GPU, in microseconds; 0 if the volume's clock was stepped back meanwhile."""
    since = job.posted
    for attempt in job.attempts:
        yield max(0, attempt.claimed - since)
        since = attempt.claimed + attempt.held
    if job.settled is not None and job.result is not None and job.result.attempt is None:
        yield max(0, job.settled - since)


def _stopped_itself(job: JobHistory, attempt: AttemptHistory) -> bool:
    ending = attempt.end.ending if attempt.end else None
    if ending is None and job.result is not None and job.result.attempt == attempt.number:
        ending = job.result.ending
    return ending is not None and ending.stop is not None and ending.stop.reason in _OWN_STOPS


def _batch_time(job: JobHistory, attempt: AttemptHistory, typical: float | None) -> int | None:
    """A batch's share of the median epoch, in microseconds; None if it is unknown."""
    rows, batch_size = attempt.training_rows, job.batch_size(attempt)
    if not rows or typical is None or not batch_size:
        return None
    batches = ceil(rows / min(batch_size, rows))
    return round(typical * 1e6 / batches)


class _Cut:
    """Cuts one attempt's time into pieces, from the claim to the end, leaving none out."""

    def __init__(
        self,
        attempt: AttemptHistory,
        used: Place | None,
        best: int | None,
        batch_time: int | None,
        stopped_itself: bool,  # noqa: FBT001
    ) -> None:
        self._attempt = attempt
        self._used = used
        self._best = best
        self._batch_time = batch_time
        self._stopped_itself = stopped_itself
        self._parts = dict.fromkeys(PARTS, 0)
        self._at = 0
        self._end = attempt.held

    def parts(self) -> Held:
        attempt, claim = self._attempt, self._attempt.claim
        begins, ends = (column.clip(self._at, self._end) for column in _spans(attempt.epochs))
        if len(attempt.epochs):
            self._take("start_up", int(begins[0]))
            self._parts["saving"] += int((begins[1:] - ends[:-1]).sum())
            self._train_all(attempt.epochs.columns()[0], begins, ends)
            self._at = int(ends[-1])
        else:
            self._take("start_up", self._end if attempt.began is None else attempt.began)
        self._tail(self._next_epoch())
        parts = {name: time * claim.devices for name, time in self._parts.items()}
        uncharged = round((attempt.end.uncharged_seconds if attempt.end else 0.0) * 1e6) * claim.devices
        return Held(claim.host, parts, claim.price_per_device, claim.currency, uncharged)

    def _train_all(
        self, epochs: npt.NDArray[np.int64], begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
    ) -> None:
        """Assign the complete epochs to parts; `_train` cuts the one in which the next attempt resumed."""
        last = _NO_END if self._used is None else self._used.epochs
        best = _NO_END if self._best is None else self._best
        lengths = ends - begins
        self._parts["learning"] += int(lengths[(epochs <= last) & (epochs <= best)].sum())
        self._parts["patience"] += int(lengths[(epochs <= last) & (epochs > best)].sum())
        self._parts["redone"] += int(lengths[epochs > last + 1].sum())
        for index in np.flatnonzero(epochs == last + 1):
            self._at = int(begins[index])
            self._train(int(epochs[index]), int(ends[index]))

    def _take(self, part: str, until: int) -> None:
        until = min(max(until, self._at), self._end)
        self._parts[part] += until - self._at
        self._at = until

    def _train(self, epoch: int, until: int) -> None:
        """Assign the time of an epoch: used, redone, or cut at the batch where the next attempt resumed."""
        if self._used is not None and epoch == self._used.epochs + 1:
            self._take(self._kind(epoch), min(until, self._at + self._time_of_used_batches(epoch)))
        elif self._used is None or epoch <= self._used.epochs:
            self._take(self._kind(epoch), until)
        self._take("redone", until)

    def _tail(self, epoch: int) -> None:
        """Assign the time after the last complete epoch: `epoch` had begun, or the run had finished."""
        if self._stopped_itself:
            self._take("saving", self._end)
        handed_back = self._attempt.end is not None and self._attempt.end.outcome == "handed_back"
        if handed_back and self._used is not None and self._used > Place(epoch - 1, 0):
            self._take(self._kind(epoch), self._at + self._time_of_used_batches(epoch))
            self._take("saving", self._end)
        self._train(epoch, self._end)

    def _time_of_used_batches(self, epoch: int) -> int:
        assert self._used is not None
        resumed = self._attempt.resumed
        done = resumed.batches if resumed and resumed.epochs + 1 == epoch else 0
        batches = max(0, self._used.batches - done)
        if batches and self._batch_time is None:
            return self._end - self._at
        return batches * (self._batch_time or 0)

    def _next_epoch(self) -> int:
        last = self._attempt.epochs.last
        if last is not None:
            return last.epoch + 1
        return self._attempt.resumed.epochs + 1 if self._attempt.resumed else 1

    def _kind(self, epoch: int) -> str:
        return "learning" if self._best is None or epoch <= self._best else "patience"


def _spans(epochs: EpochRows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """When each epoch began and ended. Epochs that were reported together are placed one after the other.

    From the last to the first, an epoch ends when it was reported, or when the next began if that is sooner.
    """
    _, told, seconds = epochs.columns()
    lengths = np.rint(seconds * 1e6).astype(np.int64)
    behind = np.cumsum(lengths)
    slack = np.minimum.accumulate((told - behind)[::-1])[::-1]
    return slack + behind - lengths, slack + behind
