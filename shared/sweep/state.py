"""What a sweep's files tell: its trials, their curves, what they used, and the best. Read on from the last look.

A trial that has ended is read once. Its curve is the objective after each epoch; its value is the best of these.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal

from shared.document import UnusableDocument
from shared.history import AttemptHistory, JobHistory, JobReader
from shared.spec import EarlyStoppingSpec
from shared.sweep.folder import (
    Extension,
    Shares,
    SweepCancel,
    SweepEnd,
    SweepFolder,
    SweepRecord,
    TrialRecord,
    find_sweep,
)
from shared.sweep.space import count_trials
from shared.times import seconds_since
from shared.volume import Volume

TrialStatus = Literal["proposed", "queued", "running", "succeeded", "failed", "cancelled", "refused", "deleted"]
SweepStatus = Literal["running", "completed", "budget", "cancelled", "failed_trials", "data_changed"]

UNFINISHED = frozenset({"proposed", "queued", "running"})


@dataclass(frozen=True)
class Trial:
    """One trial as its files told it at one moment.

    `curve` holds the objective after each epoch, None where it was not finite; `seconds` the length of each. `held` is
    how long its attempts held a GPU, in seconds, and `cost` what that cost by currency. `stopping` is its early
    stopping. `reason` is that of its stop, or the code of its error.
    """

    number: int
    parameters: dict[str, Any]
    job: str
    status: TrialStatus
    proposed_at: str
    unfinished: tuple[int, ...] = ()
    curve: tuple[float | None, ...] = ()
    seconds: tuple[float, ...] = ()
    held: float = 0.0
    cost: dict[str, float] = field(default_factory=dict)
    max_epochs: int = 0
    stopping: EarlyStoppingSpec | None = None
    reason: str | None = None
    message: str | None = None
    is_stop_requested: bool = False
    finished_at: str | None = None
    price_per_hour: float | None = None

    @property
    def is_finished(self) -> bool:
        return self.status not in UNFINISHED

    @property
    def has_failed(self) -> bool:
        """Whether it counts as failed: it has no result that could be compared."""
        return self.status in {"failed", "refused"}

    @property
    def is_outclassed(self) -> bool:
        return self.reason == "outclassed"

    def best_by(self, epoch: int, mode: str) -> float | None:
        """The best value of the first `epoch` epochs; None where none was finite."""
        if not self.curve or epoch < 1:
            return None
        best = self._best_so_far(mode)[min(epoch, len(self.curve)) - 1]
        return best if math.isfinite(best) else None

    def best(self, mode: str) -> float | None:
        """The best value of all epochs; None where none was finite."""
        return self.best_by(len(self.curve), mode)

    def best_epoch(self, mode: str) -> int | None:
        """The epoch (from 1) of the best value, the first of equal ones."""
        best = self.best(mode)
        return None if best is None else self.curve.index(best) + 1

    def _best_so_far(self, mode: str) -> tuple[float, ...]:
        return self._most if mode == "max" else self._least

    @cached_property
    def _most(self) -> tuple[float, ...]:
        finite = (-math.inf if value is None or not math.isfinite(value) else value for value in self.curve)
        return tuple(accumulate(finite, max))

    @cached_property
    def _least(self) -> tuple[float, ...]:
        finite = (math.inf if value is None or not math.isfinite(value) else value for value in self.curve)
        return tuple(accumulate(finite, min))


@dataclass(frozen=True)
class SweepState:
    """A sweep as its files told it at one moment. `trials` are in the order of their numbers.

    `record` has the number of trials and the budget of the newest of its `extensions`, which are counted. `shares` is
    the newest division of its budget; None before the first one, and without a budget.
    """

    record: SweepRecord
    trials: Sequence[Trial]
    cancel: SweepCancel | None
    end: SweepEnd | None
    shares: Shares | None = None
    extensions: int = 0

    @property
    def status(self) -> SweepStatus:
        """Running until it has ended, then the reason of its end."""
        return "running" if self.end is None else self.end.reason

    @property
    def mode(self) -> str:
        return self.record.spec.objective.mode

    @property
    def most_trials(self) -> int:
        """The maximum number of trials."""
        return count_trials(self.record.spec)

    @cached_property
    def unfinished(self) -> list[Trial]:
        return [trial for trial in self.trials if not trial.is_finished]

    @cached_property
    def failed(self) -> int:
        return sum(trial.has_failed for trial in self.trials)

    @cached_property
    def best(self) -> Trial | None:
        """The trial with the best value, the first of equal ones; also one that still runs. None before any value."""
        return best_of(self.trials, self.mode)

    @property
    def gpu_seconds(self) -> float:
        """The seconds that all trials held their GPUs, those that run until now."""
        return sum(trial.held for trial in self.trials)

    def costs(self) -> dict[str, float]:
        """What all trials cost, by currency."""
        total: dict[str, float] = {}
        for trial in self.trials:
            for currency, amount in trial.cost.items():
                total[currency] = total.get(currency, 0.0) + amount
        return total

    def saved_seconds(self) -> float:
        """The seconds that the rule has saved: epochs that stopped trials did not run, up to the median of the others.

        An estimate: nobody knows where those trials would have stopped.
        """
        finished = [trial for trial in self.trials if trial.status == "succeeded" and not trial.is_outclassed]
        if not finished:
            return 0.0
        usual = sorted(len(trial.curve) for trial in finished)[len(finished) // 2]
        stopped = [trial for trial in self.trials if trial.is_outclassed and trial.curve]
        return sum(max(0, usual - len(one.curve)) * sum(one.seconds) / len(one.curve) for one in stopped)


def best_of(trials: Sequence[Trial], mode: str) -> Trial | None:
    """The trial with the best value, the first of equal ones; None where none has one."""
    sign = 1.0 if mode == "max" else -1.0
    known = [(sign * value, -trial.number, trial) for trial in trials if (value := trial.best(mode)) is not None]
    return max(known, key=lambda one: one[:2])[2] if known else None


class SweepReader:
    """Reads one sweep, and only what is new when it is asked again. Not for two threads at once."""

    def __init__(self, volume: Volume, sweep_id: str) -> None:
        self._volume = volume
        self._id = sweep_id
        self._record: SweepRecord | None = None
        self._finished: dict[int, Trial] = {}
        self._readers: dict[int, _TrialReader] = {}
        self._shares: Shares | None = None
        self._extensions = 0

    def read_on(self) -> SweepState | None:
        """The sweep as it is now; None where there is none. Raises UnusableDocument, OSError.

        Its end is read before its trials: after it none changes any more.
        """
        folder = find_sweep(self._volume, self._id)
        if folder is None:
            return None
        self._record = self._record or folder.record()
        if self._record is None:
            return None
        self._record = self._extend(folder, self._record)
        end, cancel = folder.ending(self._extensions), folder.cancel()
        self._shares = folder.shares(self._shares)
        proposed, refused = folder.numbers()
        trials = [self._trial(folder, number, is_refused=number in refused) for number in proposed]
        known = tuple(trial for trial in trials if trial is not None)
        return SweepState(self._record, known, cancel, end, self._shares, self._extensions)

    def _extend(self, folder: SweepFolder, record: SweepRecord) -> SweepRecord:
        """The record with what the newest extension changes."""
        newest = None
        while (extension := folder.extension(self._extensions + 1)) is not None:
            newest, self._extensions = extension, self._extensions + 1
        return record if newest is None else extend_record(record, newest)

    def _trial(self, folder: SweepFolder, number: int, *, is_refused: bool) -> Trial | None:
        finished = self._finished.get(number)
        if finished is not None:
            return finished
        reader = self._readers.get(number)
        if reader is None:
            assert self._record is not None
            record = folder.trial(number)
            if record is None:
                return None
            reader = self._readers[number] = _TrialReader(self._volume, record, self._record.spec.objective.monitor)
        trial = reader.read_on()
        if is_refused and trial.status == "proposed":
            trial = reader.refused(folder)
        if trial.is_finished:
            self._finished[number] = trial
            del self._readers[number]
        return trial


class _TrialReader:
    def __init__(self, volume: Volume, record: TrialRecord, monitor: str) -> None:
        self._volume = volume
        self._record = record
        self._monitor = monitor
        self._job = volume.job_folder(record.job)
        self._reader = JobReader(self._job)
        self._bare = Trial(
            number=record.number,
            parameters=record.parameters,
            job=record.job,
            status="proposed",
            proposed_at=record.proposed_at,
            unfinished=record.unfinished,
        )

    def refused(self, folder: SweepFolder) -> Trial:
        refusal = folder.refusal(self._record.number)
        if refusal is None:
            return replace(self._bare, status="refused")
        return replace(
            self._bare,
            status="refused",
            reason=refusal.error.code,
            message=refusal.error.message,
            finished_at=refusal.refused_at,
        )

    def read_on(self) -> Trial:
        """The trial as it is now. One whose job cannot be read has failed."""
        try:
            history = self._reader.read_on()
        except UnusableDocument as error:
            return replace(self._bare, status="failed", reason=error.code, message=str(error))
        if history is None:
            was_deleted = self._volume.was_deleted(self._record.job)
            return replace(self._bare, status="deleted") if was_deleted else self._bare
        return self._told(history)

    def _told(self, history: JobHistory) -> Trial:
        epochs = history.epochs()
        ending = history.result.ending if history.result else None
        error, stop = (ending.error, ending.stop) if ending else (None, None)
        times = [(attempt, _held(attempt)) for attempt in history.attempts]
        return replace(
            self._bare,
            status=history.status,
            curve=tuple(told.metrics.get(self._monitor) for told in epochs),
            seconds=tuple(told.seconds for told in epochs),
            held=sum(held for _, held in times),
            cost=_cost(times),
            max_epochs=history.max_epochs,
            stopping=history.rule,
            reason=error.code if error else stop.reason if stop else None,
            message=error.message if error else None,
            finished_at=history.result.finished_at if history.result else None,
            is_stop_requested=self._job.stop_file.exists() or self._job.cancel_file.exists(),
            price_per_hour=history.attempts[-1].claim.gpu_price_per_hour if history.attempts else None,
        )


def _held(attempt: AttemptHistory) -> float:
    """How long an attempt held its GPU, in seconds; of one that runs until now, by the clocks on the wall.

    A clock that is wrong by minutes makes that of a running attempt wrong, until its end says it.
    """
    told = attempt.held / 1e6
    return told if attempt.end is not None else max(told, seconds_since(attempt.claim.claimed_at))


def _cost(times: Sequence[tuple[AttemptHistory, float]]) -> dict[str, float]:
    costs: dict[str, float] = {}
    for attempt, held in times:
        claim = attempt.claim
        if claim.gpu_price_per_hour is not None and claim.currency is not None:
            amount = held * claim.gpu_price_per_hour / 3600
            costs[claim.currency] = costs.get(claim.currency, 0.0) + amount
    return costs


def extend_record(record: SweepRecord, extension: Extension) -> SweepRecord:
    """The record of a sweep with the number of trials and the budget of an extension."""
    changes = {"trials": extension.trials, "budget": extension.budget}
    return record.model_copy(update={"spec": record.spec.model_copy(update=changes)})


def read_state(volume: Volume, sweep_id: str) -> SweepState | None:
    """A sweep's state, read once from the beginning. Who asks again keeps a `SweepReader`."""
    return SweepReader(volume, sweep_id).read_on()
