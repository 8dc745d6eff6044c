"""Reads the state of a sweep from its files, from the last look on: trials, curves, what they used, and the best.

A trial that has ended is read once. Its curve is the objective after each epoch; its value is the best of these.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Generic, Literal, TypeVar

from shared.document import UnusableDocument
from shared.history import AttemptHistory, JobHistory, JobReader
from shared.sweep.folder import (
    Extension,
    Shares,
    SweepCancel,
    SweepEnd,
    SweepFolder,
    SweepRecord,
    TrialNames,
    TrialRecord,
    find_sweep,
)
from shared.sweep.space import count_trials
from shared.sweep.trial import AnyTrial, Trial, TrialFacts, TrialSummary, best_of
from shared.times import seconds_since
from shared.volume import Volume

SweepStatus = Literal["running", "completed", "budget", "cancelled", "failed_trials", "data_changed"]

_Form_co = TypeVar("_Form_co", bound=TrialFacts, covariant=True)


@dataclass(frozen=True)
class SweepStateOf(Generic[_Form_co]):
    """The state of a sweep at one moment, from its files. `trials` are in the order of their numbers.

    `record` has the number of trials and the budget of the newest extension, and `extensions` is their number. `shares`
    is the newest division of its budget; None before the first one, and without a budget.
    """

    record: SweepRecord
    trials: Sequence[_Form_co]
    cancel: SweepCancel | None
    end: SweepEnd | None
    shares: Shares | None = None
    extensions: int = 0

    @property
    def status(self) -> SweepStatus:
        """`running` until it has ended, then the reason of its end."""
        return "running" if self.end is None else self.end.reason

    @property
    def mode(self) -> str:
        return self.record.spec.objective.mode

    @property
    def most_trials(self) -> int:
        """The maximum number of trials."""
        return count_trials(self.record.spec)

    @cached_property
    def unfinished(self) -> list[_Form_co]:
        return [trial for trial in self.trials if not trial.is_finished]

    @cached_property
    def failed(self) -> int:
        """The number of trials that cannot be compared: those that failed, or whose epochs lack the objective."""
        return sum(trial.has_failed or self._lacks_objective(trial) for trial in self.trials)

    def _lacks_objective(self, trial: TrialFacts) -> bool:
        return trial.status == "succeeded" and trial.count_epochs() > 0 and trial.best(self.mode) is None

    @cached_property
    def best(self) -> _Form_co | None:
        """The trial with the best value, the first of equal ones; it may still run. None before any value."""
        return best_of(self.trials, self.mode)

    @property
    def gpu_seconds(self) -> float:
        """The seconds that all trials held their GPUs; of running trials, until now."""
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

        An estimate: it is not known where those trials would have stopped.
        """
        finished = [trial for trial in self.trials if trial.status == "succeeded" and not trial.is_outclassed]
        if not finished:
            return 0.0
        usual = sorted(trial.count_epochs() for trial in finished)[len(finished) // 2]
        stopped = [(one, one.count_epochs()) for one in self.trials if one.is_outclassed and one.count_epochs()]
        return sum(max(0, usual - epochs) * one.trained_seconds() / epochs for one, epochs in stopped)


SweepState = SweepStateOf[Trial]
SweepSummary = SweepStateOf[TrialSummary]


class SweepReaderOf(Generic[AnyTrial]):
    """Reads one sweep, and on later calls only what is new. For one thread at a time.

    `form` makes the stored form of a trial, given the sweep's mode. `known` are finished trials that need not be read;
    `finished` are all that have finished by now.
    """

    def __init__(
        self,
        volume: Volume,
        sweep_id: str,
        form: Callable[[Trial, str], AnyTrial],
        known: Mapping[int, AnyTrial] | None = None,
    ) -> None:
        self._volume = volume
        self._id = sweep_id
        self._form = form
        self._record: SweepRecord | None = None
        self._readers: dict[int, _TrialReader] = {}
        self._shares: Shares | None = None
        self._extensions = 0
        self.finished: dict[int, AnyTrial] = dict(known or {})

    def read_on(self) -> SweepStateOf[AnyTrial] | None:
        """The sweep as it is now; None if it does not exist. Raises UnusableDocument, OSError.

        Its end is read before its trials: after the end no trial changes any more, except that its job may be deleted.
        """
        folder = find_sweep(self._volume, self._id)
        if folder is None:
            return None
        record = self._record or folder.record()
        if record is None:
            return None
        self._record = record = self._extend(folder, record)
        end, cancel = folder.ending(self._extensions), folder.cancel()
        self._shares = folder.shares(self._shares)
        names = folder.trial_names()
        found = [self._trial(folder, record, number, names, has_ended=end is not None) for number in names.proposed]
        trials = tuple(trial for trial in found if trial is not None)
        return SweepStateOf(record, trials, cancel, end, self._shares, self._extensions)

    def _extend(self, folder: SweepFolder, record: SweepRecord) -> SweepRecord:
        """The record with what the newest extension changes."""
        newest = None
        while (extension := folder.extension(self._extensions + 1)) is not None:
            newest, self._extensions = extension, self._extensions + 1
        return record if newest is None else extend_record(record, newest)

    def _trial(
        self, folder: SweepFolder, sweep: SweepRecord, number: int, names: TrialNames, *, has_ended: bool
    ) -> AnyTrial | None:
        finished = self.finished.get(number)
        if finished is not None and not (number in names.deleted and self._is_gone(finished)):
            return finished
        reader = self._readers.get(number)
        if reader is None:
            record = folder.trial(number)
            if record is None:
                return None
            reader = self._readers[number] = _TrialReader(self._volume, record, sweep.spec.objective.monitor)
        trial = reader.read_on()
        if trial.status == "proposed":
            trial = reader.without_job(folder, names, has_ended=has_ended)
        kept = self._form(trial, sweep.spec.objective.mode)
        if trial.is_finished:
            self.finished[number] = kept
            del self._readers[number]
        return kept

    def _is_gone(self, trial: TrialFacts) -> bool:
        """Whether the job of a trial was deleted after its facts were read."""
        return trial.status != "deleted" and self._volume.job(trial.job) is None


class SweepReader(SweepReaderOf[Trial]):
    """Reads the trials of one sweep with their curves."""

    def __init__(self, volume: Volume, sweep_id: str) -> None:
        super().__init__(volume, sweep_id, lambda trial, _mode: trial)


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

    def without_job(self, folder: SweepFolder, names: TrialNames, *, has_ended: bool) -> Trial:
        """A trial without a job: one that will have a job, whose spec was refused, or whose job was deleted.

        After the end of a sweep, no job is made any more.
        """
        number = self._record.number
        if number in names.refused:
            return self._refused(folder)
        return replace(self._bare, status="deleted") if has_ended or number in names.deleted else self._bare

    def _refused(self, folder: SweepFolder) -> Trial:
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
        """The trial as it is now. A trial whose job cannot be read has failed."""
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
        newest = history.attempts[-1].claim if history.attempts else None
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
            price_per_hour=newest.price_per_device if newest else None,
            devices=newest.devices if newest else 1,
        )


def _held(attempt: AttemptHistory) -> float:
    """How long an attempt held its GPUs, in seconds summed over them; of a running attempt until now, by wall clocks.

    If a clock is wrong by minutes, so is the value of a running attempt, until its end records it.
    """
    told = attempt.held / 1e6
    held = told if attempt.end is not None else max(told, seconds_since(attempt.claim.claimed_at))
    return held * attempt.claim.devices


def _cost(times: Sequence[tuple[AttemptHistory, float]]) -> dict[str, float]:
    costs: dict[str, float] = {}
    for attempt, held in times:
        claim = attempt.claim
        if claim.price_per_device is not None and claim.currency is not None:
            amount = held * claim.price_per_device / 3600
            costs[claim.currency] = costs.get(claim.currency, 0.0) + amount
    return costs


def extend_record(record: SweepRecord, extension: Extension) -> SweepRecord:
    """The record of a sweep with the number of trials and the budget of an extension."""
    changes = {"trials": extension.trials, "budget": extension.budget}
    return record.model_copy(update={"spec": record.spec.model_copy(update=changes)})


def read_state(volume: Volume, sweep_id: str) -> SweepState | None:
    """Read a sweep's state from the beginning. To read it repeatedly, keep a `SweepReader`."""
    return SweepReader(volume, sweep_id).read_on()
