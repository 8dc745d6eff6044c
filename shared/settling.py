"""The result that a job's files already decide. A worker that reads the queue writes it, or the API."""

from shared.events import epochs_done
from shared.job import Ending, JobRecord, Stop
from shared.job_folder import JobFolder, JobState
from shared.mirror.attached import refresh


def settle_if_decided(folder: JobFolder, state: JobState) -> bool:
    """Write the result that the job's files already decide: an attempt's ending, or a cancel in the queue.

    So a job also gets its result if the process that should have written it was killed before.
    """
    if state.status == "queued" and state.cancel is not None:
        # For a volume in a bucket, the last look may be old: a worker may have claimed the job before the cancel.
        refresh(folder.path)
        state = folder.state() or state
    if state.end is not None and state.end.ending is not None:
        folder.settle(state.end.ending, state.attempt.number if state.attempt else None)
        return True
    if state.status == "queued" and state.cancel is not None:
        folder.settle(Ending(status="cancelled", stop=stop_after_events(folder, state.record, "cancelled")), None)
        return True
    return False


def stop_after_events(folder: JobFolder, record: JobRecord | None, reason: str) -> Stop:
    """The stop of a run that could not record its own: after the last epoch of its events."""
    last_epoch = epochs_done(folder)
    epochs = (record.spec.max_epochs if record else None) or last_epoch
    return Stop(reason=reason, last_epoch=last_epoch, epochs_not_run=epochs - last_epoch)
