"""The evidence of a stop, from what the callbacks hold when a run ends."""

from shared.job import JobRecord, Stop
from worker.training.callbacks import Callbacks


def stop_evidence(record: JobRecord, callbacks: Callbacks | None, reason: str) -> Stop:
    """Why training stopped, after which epoch, and what the decision rests on.

    The best value is that of early stopping, whose decision it proves; where that is off, that of the model kept.
    """
    epochs = record.spec.hyperparameters.epochs
    last_epoch = callbacks.narrator.last_epoch if callbacks else 0
    stop = Stop(reason=reason, last_epoch=last_epoch, epochs_not_run=epochs - last_epoch)
    if callbacks is None:
        return stop
    if callbacks.early_stopping:
        state = callbacks.early_stopping.patience_used(last_epoch, epochs)
        evidence = state.model_dump(include={"monitor", "best_epoch", "best_value", "wait", "patience"})
        return stop.model_copy(update=evidence)
    best = callbacks.narrator.best
    if best is None:
        return stop
    return stop.model_copy(update={"monitor": best.monitor, "best_epoch": best.epoch, "best_value": best.value})
