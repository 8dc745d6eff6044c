"""Concludes a run: how it ended, and the evidence for the stop from the callbacks' state."""

from pydantic import ValidationError

from shared.budget import used_words
from shared.events import Event, last_epoch_event
from shared.job import Conclusion, Ending, JobError, Stop
from shared.outclassed import outclassed_words
from shared.progress import EpochProgress
from worker.training.callbacks import Callbacks
from worker.training.context import RunContext
from worker.training.errors import BudgetUsedUp, CannotWin, TrainingStopped, describe_failure

_RULE = ("monitor", "last_improvement", "wait", "patience")


def stop_evidence(run: RunContext, callbacks: Callbacks | None, reason: str) -> Stop:
    """Why training stopped, after which epoch, and the state of early stopping at that moment.

    If `callbacks` is None, because the run ended before they were created, the stop is that of the last recorded epoch.
    """
    if callbacks is None:
        last = _read_last_progress(run)
        epochs = run.record.spec.max_epochs or (last.epochs if last else 0)
        last_epoch, best, state = (last.epoch, last.best, last.early_stopping) if last else (0, None, None)
    else:
        epochs = callbacks.epochs
        last_epoch, best = callbacks.epoch_reporter.last_epoch, callbacks.epoch_reporter.best
        rule = callbacks.early_stopping
        state = rule.patience_used(last_epoch, epochs) if rule else None
    evidence = {name: getattr(state, name) for name in _RULE} if state else {}
    return Stop(reason=reason, best=best, last_epoch=last_epoch, epochs_not_run=epochs - last_epoch, **evidence)


def conclude_failed(run: RunContext, callbacks: Callbacks | None, raised: Exception) -> Conclusion:
    """The conclusion of a run that ended with an error, which says whether to retry the job."""
    error, may_retry = describe_failure(raised, run.attempt.volume_root)
    stop = stop_evidence(run, callbacks, "diverged" if error.code == "diverged" else "error")
    place = callbacks.resume_saver.place if callbacks else None
    return Conclusion(ending=Ending(status="failed", stop=stop, error=error), may_retry=may_retry, place=place)


def conclude_stopped(
    run: RunContext, callbacks: Callbacks | None, request: TrainingStopped, last: Stop | None = None
) -> Conclusion:
    """The conclusion of a run that was asked to stop: its job has ended, or is handed back for another attempt.

    `last` is the stop of the last call of `fit` in a script, for a run without active callbacks.
    """
    if isinstance(request, BudgetUsedUp):
        stop = _evidence(run, callbacks, "budget", last).model_copy(update={"budget": request.used})
        run.events.write([budget_event(stop)])
        return Conclusion(ending=budget_ending(stop))
    if isinstance(request, CannotWin):
        stop = _evidence(run, callbacks, "outclassed", last).model_copy(update={"outclassed": request.evidence})
        run.events.write([_stop_event(stop, outclassed_words(request.evidence))])
        return Conclusion(ending=Ending(status="succeeded", stop=stop))
    if request.reason == "cancelled":
        stop = _evidence(run, callbacks, "cancelled", last)
        return Conclusion(ending=Ending(status="cancelled", stop=stop))
    return Conclusion(ending=None, may_retry=True, wants_restart=request.reason == "restart")


def _evidence(run: RunContext, callbacks: Callbacks | None, reason: str, last: Stop | None) -> Stop:
    if callbacks is None and last is not None:
        return last.model_copy(update={"reason": reason})
    return stop_evidence(run, callbacks, reason)


def _read_last_progress(run: RunContext) -> EpochProgress | None:
    event = last_epoch_event(run.attempt.job.runs())
    try:
        return EpochProgress.of(event.data) if event else None
    except ValidationError:
        return None


def budget_ending(stop: Stop) -> Ending:
    """The ending of a job whose budget is used up: succeeded with its best model, failed if no epoch has finished."""
    if stop.last_epoch:
        return Ending(status="succeeded", stop=stop)
    message = f"{_used_up(stop)} before its first epoch had finished: there is no model; raise the budget"
    return Ending(status="failed", stop=stop, error=JobError(code="budget_too_small", message=message))


def budget_event(stop: Stop) -> Event:
    """The event that says which limit ended the run."""
    return _stop_event(stop, _used_up(stop))


def _stop_event(stop: Stop, why: str) -> Event:
    named = stop.model_dump(mode="json", include={"reason", "best", "budget", "outclassed", *_RULE})
    facts = {name: value for name, value in named.items() if name != "outclassed" or value is not None}
    return Event("stop", f"stopped: {why}", {"epoch": stop.last_epoch, **facts})


def _used_up(stop: Stop) -> str:
    used = stop.budget
    assert used is not None
    return f"its budget is used up ({used_words(used)})"
