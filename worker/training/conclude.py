"""The evidence of a stop, from what the callbacks hold when a run ends."""

from pydantic import ValidationError

from shared.budget import used_words
from shared.events import Event, last_epoch_event
from shared.job import Ending, JobError, Stop
from shared.progress import EpochProgress
from worker.training.callbacks import Callbacks
from worker.training.context import RunContext

_RULE = ("monitor", "last_improvement", "wait", "patience")


def stop_evidence(run: RunContext, callbacks: Callbacks | None, reason: str) -> Stop:
    """Why training stopped, after which epoch, and what the decision rests on.

    A run that ends before it was put together says what the attempts before it recorded.
    """
    epochs = run.record.data_spec.hyperparameters.epochs
    if callbacks is None:
        told = _last_told(run)
        last_epoch, best, state = (told.epoch, told.best, told.early_stopping) if told else (0, None, None)
    else:
        last_epoch, best = callbacks.narrator.last_epoch, callbacks.narrator.best
        rule = callbacks.early_stopping
        state = rule.patience_used(last_epoch, epochs) if rule else None
    evidence = {name: getattr(state, name) for name in _RULE} if state else {}
    return Stop(reason=reason, best=best, last_epoch=last_epoch, epochs_not_run=epochs - last_epoch, **evidence)


def _last_told(run: RunContext) -> EpochProgress | None:
    event = last_epoch_event(run.attempt.job.runs())
    try:
        return EpochProgress.of(event.data) if event else None
    except ValidationError:
        return None


def within_budget(stop: Stop) -> Ending:
    """How a job ends whose budget is used up: with the best model it has, as failed where no epoch has ended yet."""
    if stop.last_epoch:
        return Ending(status="succeeded", stop=stop)
    message = f"{_used_up(stop)} before its first epoch had finished: no model exists; raise the budget and post again"
    return Ending(status="failed", stop=stop, error=JobError(code="budget_too_small", message=message))


def budget_event(stop: Stop) -> Event:
    """The event that says which limit ended the run."""
    facts = {"epoch": stop.last_epoch, **stop.model_dump(mode="json", include={"reason", "best", "budget", *_RULE})}
    return Event("stop", f"stopped: {_used_up(stop)}", facts)


def _used_up(stop: Stop) -> str:
    used = stop.budget
    assert used is not None
    return f"its budget is used up ({used_words(used)})"
