"""The evidence of a stop, from what the callbacks hold when a run ends."""

from typing import Any

from pydantic import ValidationError

from shared.budget import used_words
from shared.events import Event, last_epoch_event
from shared.job import Ending, JobError, Stop
from shared.progress import Best, EpochProgress
from worker.training.callbacks import Callbacks
from worker.training.context import RunContext

_EVIDENCE = {"monitor", "best_epoch", "best_value", "wait", "patience"}


def stop_evidence(run: RunContext, callbacks: Callbacks | None, reason: str) -> Stop:
    """Why training stopped, after which epoch, and what the decision rests on.

    The best value is that of early stopping, whose decision it proves; where that is off, that of the model kept. A run
    that ends before it was put together says what the attempts before it told.
    """
    epochs = run.record.spec.hyperparameters.epochs
    if callbacks is None:
        return _told(run, reason)
    last_epoch = callbacks.narrator.last_epoch
    stop = Stop(reason=reason, last_epoch=last_epoch, epochs_not_run=epochs - last_epoch)
    if callbacks.early_stopping:
        state = callbacks.early_stopping.patience_used(last_epoch, epochs)
        return stop.model_copy(update=state.model_dump(include=_EVIDENCE))
    best = callbacks.narrator.best
    return stop.model_copy(update=_of_best(best)) if best else stop


def _told(run: RunContext, reason: str) -> Stop:
    epochs = run.record.spec.hyperparameters.epochs
    event = last_epoch_event(run.attempt.job.runs())
    try:
        told = EpochProgress.of(event.data) if event else None
    except ValidationError:
        told = None
    if told is None:
        return Stop(reason=reason, epochs_not_run=epochs)
    stop = Stop(reason=reason, last_epoch=told.epoch, epochs_not_run=epochs - told.epoch)
    if told.early_stopping:
        return stop.model_copy(update=told.early_stopping.model_dump(include=_EVIDENCE))
    return stop.model_copy(update=_of_best(told.best)) if told.best else stop


def _of_best(best: Best) -> dict[str, Any]:
    return {"monitor": best.monitor, "best_epoch": best.epoch, "best_value": best.value}


def within_budget(stop: Stop) -> Ending:
    """How a job ends whose budget is used up: with the best model it has, as failed where no epoch has ended yet."""
    if stop.last_epoch:
        return Ending(status="succeeded", stop=stop)
    message = f"{_used_up(stop)} before its first epoch had finished: no model exists; raise the budget and post again"
    return Ending(status="failed", stop=stop, error=JobError(code="budget_too_small", message=message))


def budget_event(stop: Stop) -> Event:
    """The event that says which limit ended the run."""
    facts = {"epoch": stop.last_epoch, **stop.model_dump(mode="json", include={"reason", "budget", *_EVIDENCE})}
    return Event("stop", f"stopped: {_used_up(stop)}", facts)


def _used_up(stop: Stop) -> str:
    used = stop.budget
    assert used is not None
    return f"its budget is used up ({used_words(used)})"
