"""Explanation of why a job waits, still runs or has stopped, in two or three sentences, from its files."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.backoff import backs_off_until
from shared.budget import budget_words, used_words
from shared.job import AttemptEnd, JobError, Stop
from shared.job_folder import JobState
from shared.outclassed import outclassed_words
from shared.progress import EpochProgress, Patience
from shared.spec import EarlyStoppingSpec
from shared.worker_card import WorkerCard


@dataclass(frozen=True)
class Waits:
    """What a queued job waits for.

    `position`: its place in the queue, from 1. `workers`: the live workers that may take it. `unable`: why no live
    worker can ever take it; empty if one can.
    """

    position: int | None = None
    workers: Sequence[WorkerCard] = ()
    unable: str = ""


def explain(
    state: JobState,
    progress: EpochProgress | None,
    rule: EarlyStoppingSpec | None,
    waits: Waits = Waits(),
) -> list[str]:
    """The sentences. `progress` is the last epoch, `rule` the early stopping, `waits` what a queued job waits for."""
    if state.result is not None:
        stop = state.result.ending.stop
        sentences = _why_it_stopped(stop.with_best(progress) if stop else None, rule, state.result.ending.error)
        ended_from_outside = stop is not None and (stop.budget is not None or stop.outclassed is not None)
        can_extend = ended_from_outside and stop is not None and stop.last_epoch and state.record.task is not None
        return [*sentences, *(["It can be extended."] if can_extend else [])]
    if state.status == "queued":
        return _why_it_waits(state, waits)
    return _why_it_runs(state, progress, rule)


def _why_it_waits(state: JobState, waits: Waits) -> list[str]:
    again = [_why_queued_again(state, state.end)] if state.end is not None else []
    until = backs_off_until(state.end)
    if until is not None:
        return [*again, f"The next attempt starts at {until} or later.", *_what_its_budget_is(state)]
    return [
        *again,
        _where_it_stands(waits.position),
        _what_it_waits_for(waits, state.record.id),
        *_what_its_budget_is(state),
    ]


def _where_it_stands(position: int | None) -> str:
    if position is None or position <= 1:
        return "It is next in the queue."
    before = "1 job is" if position == 2 else f"{position - 1} jobs are"
    return f"It waits as number {position} in the queue: {before} ahead of it."


def _why_queued_again(state: JobState, end: AttemptEnd) -> str:
    number = state.attempt.number if state.attempt else 0
    outcome = {"handed_back": "was handed back by its worker", "lost": "was lost"}.get(end.outcome, "failed")
    because = f": {end.error.message}" if end.error else ""
    return f"Attempt {number} {outcome}{because}; the next one continues from the last resume point."


def _what_it_waits_for(waits: Waits, job_id: str) -> str:
    if waits.unable:
        return f"It waits for another worker: {waits.unable}."
    return _what_the_workers_do(waits.workers, job_id)


def _what_the_workers_do(workers: Sequence[WorkerCard], job_id: str) -> str:
    if not workers:
        return "No worker is available."
    if all(card.unfit for card in workers):
        return f"No worker can take it: {workers[0].unfit}."
    if all(card.unfit or card.paused for card in workers):
        reason = next(card.paused for card in workers if card.paused)
        return f"The workers are paused: {reason}. They resume automatically."
    slots, busy = sum(card.slots for card in workers), sum(len(card.running) for card in workers)
    if any(card.ready for card in workers):
        return "A worker is ready and will start it in a moment."
    if any(card.draining for card in workers) and busy < slots:
        return "The workers are draining and claim no new jobs."
    return _what_slots_do(workers, job_id)


def _what_slots_do(workers: Sequence[WorkerCard], job_id: str) -> str:
    slots, busy = sum(card.slots for card in workers), sum(len(card.running) for card in workers)
    if busy >= slots:
        return "The only slot is busy." if slots == 1 else f"All {slots} slots of the workers are busy."
    if any(card.kept_for == job_id for card in workers):
        return "A worker reserves its free slots for this job until they hold enough devices."
    if any(card.kept_for for card in workers):
        return "The free slots are reserved for an earlier job that needs several of them."
    return "The workers are not ready yet."


def _why_it_runs(state: JobState, progress: EpochProgress | None, rule: EarlyStoppingSpec | None) -> list[str]:
    sentences = []
    if state.cancel is not None:
        sentences.append(f"Cancellation was requested at {state.cancel.requested_at}; it saves its state first.")
    if progress is None:
        where = f" on {state.claim.host}" if state.claim else ""
        sentences.append(f"It has started{where}, and no epoch has finished yet.")
    else:
        sentences += _what_it_continues_for(progress, rule)
    return [*sentences, *_what_its_budget_is(state)]


def _what_it_continues_for(progress: EpochProgress, spec: EarlyStoppingSpec | None) -> list[str]:
    if progress.early_stopping is None or spec is None:
        return [f"Early stopping is off: the job runs to epoch {progress.epochs} and is at {progress.epoch}."]
    return [_what_stops_it(progress, progress.early_stopping, spec), *_when_the_rate_drops(progress)]


def _what_its_budget_is(state: JobState) -> list[str]:
    budget = state.record.spec.budget
    return [f"It stops at its budget: {budget_words(budget)}."] if budget else []


def _what_stops_it(progress: EpochProgress, state: Patience, spec: EarlyStoppingSpec) -> str:
    if progress.epoch <= spec.start_from_epoch:
        return (
            f"Early stopping monitors {state.monitor} from epoch {spec.start_from_epoch + 1} on; "
            f"this is epoch {progress.epoch}."
        )
    improvement = state.last_improvement
    if improvement is None:
        return f"{state.monitor} has had no finite value so far; otherwise it stops at epoch {state.stops_at_epoch}."
    last = f"{state.monitor} last improved at epoch {improvement.epoch}, {_ago(progress.epoch - improvement.epoch)}"
    if state.stops_at_epoch >= progress.epochs:
        return f"{last}; it may continue to epoch {progress.epochs}, its maximum."
    return f"{last}; it stops at epoch {state.stops_at_epoch} unless it {_better_than(improvement.value, spec)}."


def _when_the_rate_drops(progress: EpochProgress) -> list[str]:
    plateau = progress.reduce_lr
    if plateau is None or plateau.wait == 0 or plateau.wait > plateau.patience:
        return []
    left = plateau.patience - plateau.wait
    when = "after this epoch" if left == 0 else f"after {_epochs(left)} more without a better value"
    return [f"The learning rate is {progress.learning_rate:g} and drops {when}."]


def _better_than(value: float, spec: EarlyStoppingSpec) -> str:
    if spec.mode == "max":
        return f"rises above {_value(value + spec.min_delta)}"
    return f"falls below {_value(value - spec.min_delta)}"


def _why_it_stopped(stop: Stop | None, rule: EarlyStoppingSpec | None, error: JobError | None) -> list[str]:
    sentences = []
    if stop is not None:
        sentences += [_the_stop(stop, rule), *_the_best_model(stop)]
    if error is not None:
        sentences.append(f"{error.message[:1].upper()}{error.message[1:]} ({error.code}).")
    if stop is not None and stop.epochs_not_run:
        epochs = stop.last_epoch + stop.epochs_not_run
        sentences.append(f"{stop.epochs_not_run} of the {epochs} maximum epochs were not run.")
    return sentences or ["It has finished, and no reason was recorded."]


def _the_stop(stop: Stop, rule: EarlyStoppingSpec | None) -> str:
    if stop.reason == "early_stopping":
        return _stopped_early(stop, rule)
    if stop.reason == "epochs_completed":
        return f"It ran all of its {_epochs(stop.last_epoch)}."
    if stop.reason == "budget" and stop.budget is not None:
        where = f"stopped after epoch {stop.last_epoch}" if stop.last_epoch else "ended before its first epoch had"
        return f"It {where}: its budget was used up ({used_words(stop.budget)})."
    if stop.reason == "outclassed" and stop.outclassed is not None:
        return f"Its sweep stopped it after epoch {stop.last_epoch}: {outclassed_words(stop.outclassed)}."
    if stop.reason == "cancelled":
        when = f"after epoch {stop.last_epoch}" if stop.last_epoch else "before its first epoch"
        return f"It was cancelled {when}."
    where = f"after epoch {stop.last_epoch}" if stop.last_epoch else "before its first epoch had finished"
    words = {
        "callback": "A callback of its script stopped it",
        "script_ended": "Its script ended",
        "error": "It failed",
        "diverged": "It diverged (loss or weights were no longer finite) and stopped",
    }
    return f"{words.get(stop.reason, f'It stopped ({stop.reason})')} {where}."


def _stopped_early(stop: Stop, spec: EarlyStoppingSpec | None) -> str:
    last = stop.last_improvement
    if last is None or spec is None:
        return f"It stopped at epoch {stop.last_epoch}: {stop.monitor} never had a finite value."
    more = f" by more than {spec.min_delta:g}" if spec.min_delta else ""
    return (
        f"It stopped at epoch {stop.last_epoch}: {stop.monitor} did not improve{more} for {_epochs(stop.wait or 0)}, "
        f"its patience. Its last improvement was {_value(last.value)} at epoch {last.epoch}."
    )


def _the_best_model(stop: Stop) -> list[str]:
    best = stop.best
    return [f"The best model is from epoch {best.epoch}: {best.monitor} {_value(best.value)}."] if best else []


def _ago(epochs: int) -> str:
    return "this epoch" if epochs == 0 else f"{_epochs(epochs)} ago"


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def _value(value: float) -> str:
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 10_000 else f"{value:.4g}"
