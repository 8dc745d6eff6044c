"""The report of a job, read from its folder.

The cost does not depend on the length of the logs: only the end of `events.jsonl` is read.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from api.shapes import jobs as shapes
from api.shapes.base import take_fields
from api.shapes.sweeps import TrialLink
from shared.annotations import Annotations, read_annotations
from shared.attempts import Ended, is_failure, is_loss, since_progress
from shared.document import UnusableDocument
from shared.epoch_columns import EpochTold
from shared.events import Event, PlacedEvent, last_epoch_event
from shared.job import AttemptEnd, Claim, JobRecord, Stop
from shared.job_folder import AttemptFolder, JobFolder, JobState
from shared.manifest import Checkpoint, Manifest, read_manifest
from shared.progress import EpochProgress
from shared.settings import Settings
from shared.spec import JobSpec, KerasSpec

_Read = TypeVar("_Read")


def job_report(
    folder: JobFolder, state: JobState, queue_position: int | None, settings: Settings, *, is_new: bool = False
) -> shapes.Job:
    """The answer to GET /jobs/{id}. A job that `is_new` has only a record, so nothing is read.

    A document that cannot be read is left out, with a warning, unless the state depends on it.
    """
    record, result = state.record, state.result
    attempts, runs = ([], []) if is_new else (folder.attempts(), folder.runs())
    unread: list[str] = []
    ended: list[Ended] = [(attempt, _or_none(attempt.end, unread)) for attempt in attempts]
    event = last_epoch_event(runs)
    return shapes.Job(
        id=folder.id,
        object="job",
        project=record.project,
        **_labels(folder, record, unread),
        **_origin(record),
        status=state.status,
        **_times(state, _or_none(attempts[0].claim, unread) if attempts else None, event),
        queue_position=queue_position,
        attempt=state.attempt.number if state.attempt else 0,
        progress=_progress(event),
        stop=_stop(state, event),
        checkpoints=_checkpoint_summary(runs, unread),
        engine=None if is_new or record.task is None else _engine(folder, unread),
        worker=_worker(state),
        error=result.ending.error if result else None,
        attempts=_attempt_counts(ended),
        failures=[_failure(attempt, end, unread) for attempt, end in ended if end is not None and end.ending is None],
        max_failures=settings.max_failures,
        max_losses=settings.max_losses,
        task=record.task,
        spec=record.spec,
        urls=_urls(folder.id),
        warnings=[*record.warnings, *unread],
    )


def _origin(record: JobRecord) -> dict[str, Any]:
    """The fields with the jobs or the sweep that the job comes from."""
    return {
        "retry_of": record.retry_of,
        "extends": record.extends,
        "extends_from": record.extends_from,
        "lineage": [take_fields(shapes.Ancestor, one) for one in record.lineage],
        "sweep": take_fields(TrialLink, record.sweep) if record.sweep else None,
    }


def without_config(job: shapes.Job) -> shapes.Job:
    """The job for a list: without the config of a Keras model, which may be long."""
    if not isinstance(job.spec, JobSpec) or not isinstance(job.spec.model, KerasSpec):
        return job
    model = job.spec.model.model_copy(update={"config": {}})
    return job.model_copy(update={"spec": job.spec.model_copy(update={"model": model})})


def dry_run_report(record: JobRecord, more_warnings: Sequence[str] = ()) -> shapes.DryRun:
    """The answer to POST /jobs?dry_run=true: the job that would run."""
    warnings = [*record.warnings, *more_warnings]
    return shapes.DryRun(object="dry_run", warnings=warnings, task=record.task, spec=record.spec)


def event_report(placed: PlacedEvent) -> shapes.Event:
    """One event with the cursor after it. Its values are not validated: a newer version may have other levels."""
    event = placed.event
    return shapes.Event.model_construct(
        id=str(placed.after),
        attempt=placed.attempt,
        time=event.time,
        type=event.type,
        level=event.level,
        message=event.message,
        data=event.data,
    )


def epoch_report(row: EpochTold) -> shapes.Epoch:
    """One row of GET /jobs/{id}/epochs."""
    return shapes.Epoch(epoch=row.epoch, metrics=row.metrics, learning_rate=row.learning_rate, seconds=row.seconds)


def checkpoint_report(job_id: str, checkpoint: Checkpoint, manifest: Manifest) -> shapes.Checkpoint:
    """One checkpoint with its address."""
    return take_fields(
        shapes.Checkpoint,
        checkpoint,
        object="checkpoint",
        is_best=checkpoint.name == manifest.best,
        url=f"/jobs/{job_id}/checkpoints/{checkpoint.name}",
    )


def epoch_progress(event: Event) -> EpochProgress | None:
    """The content of an event of type "epoch"; None if it is incomplete."""
    try:
        return EpochProgress.of(event.data)
    except ValidationError:
        return None


def kept_checkpoints(
    runs: Sequence[AttemptFolder], unread: list[str] | None = None
) -> tuple[AttemptFolder, Manifest] | None:
    """The newest attempt that has checkpoints, and its manifest.

    Raises UnusableDocument. With `unread`, an attempt whose manifest cannot be read is skipped, and the reason added.
    """
    for attempt in reversed(runs):
        read = partial(read_manifest, attempt.manifest_file)
        manifest = read() if unread is None else _or_none(read, unread)
        if manifest is not None and manifest.checkpoints:
            return attempt, manifest
    return None


def _or_none(read: Callable[[], _Read], unread: list[str]) -> _Read | None:
    """The result of `read`. If the document cannot be used: None, and the reason is added to `unread`."""
    try:
        return read()
    except UnusableDocument as error:
        unread.append(str(error))
        return None


def _labels(folder: JobFolder, record: JobRecord, unread: list[str]) -> dict[str, Any]:
    found = _or_none(lambda: read_annotations(folder), unread)
    annotations = found[1] if found else Annotations()
    name = record.spec.name or record.spec.source_id
    return {"name": name, "tags": list(annotations.tags), "note": annotations.note}


def _engine(folder: JobFolder, unread: list[str]) -> shapes.Engine | None:
    """The engine of the job; None before an attempt has chosen it. A script has one for each call of `fit`."""
    plan = _or_none(folder.plan, unread)
    return None if plan is None else shapes.Engine.model_construct(**plan.model_dump(exclude={"format"}))


def _times(state: JobState, first: Claim | None, event: Event | None) -> dict[str, Any]:
    cancelled = state.cancel.requested_at if state.cancel else None
    finished = state.result.finished_at if state.result else None
    moments = [
        state.record.created_at,
        state.claim.claimed_at if state.claim else None,
        state.end.ended_at if state.end else None,
        event.time if event else None,
        cancelled,
        finished,
    ]
    return {
        "created_at": state.record.created_at,
        "started_at": first.claimed_at if first else None,
        "finished_at": finished,
        "cancel_requested_at": cancelled,
        "updated_at": max(moment for moment in moments if moment),
    }


def _progress(event: Event | None) -> shapes.Progress | None:
    progress = epoch_progress(event) if event else None
    if event is None or progress is None:
        return None
    return shapes.Progress(
        epoch=progress.epoch,
        epochs=progress.epochs,
        metrics=progress.metrics,
        best=progress.best,
        learning_rate=progress.learning_rate,
        epoch_seconds=progress.seconds,
        early_stopping=progress.early_stopping,
        reduce_lr=progress.reduce_lr,
        updated_at=event.time,
    )


def _stop(state: JobState, event: Event | None) -> Stop | None:
    stop = state.result.ending.stop if state.result else None
    return stop.with_best(epoch_progress(event) if event else None) if stop else None


def _checkpoint_summary(runs: Sequence[AttemptFolder], unread: list[str]) -> shapes.CheckpointSummary:
    kept = kept_checkpoints(runs, unread)
    manifest = kept[1] if kept else Manifest()
    return shapes.CheckpointSummary(
        count=len(manifest.checkpoints),
        best=manifest.best,
        bytes=sum(checkpoint.bytes for checkpoint in manifest.checkpoints),
    )


def _worker(state: JobState) -> shapes.JobWorker | None:
    if state.claim is None or state.status == "queued":
        return None
    return shapes.JobWorker.model_construct(**state.claim.model_dump(include=set(shapes.JobWorker.model_fields)))


def _attempt_counts(attempts: Sequence[Ended]) -> shapes.AttemptCounts:
    """The numbers of attempts: all, lost, failed, handed back, and those lost or failed in a row."""
    ends = [end for _, end in attempts if end is not None]
    return shapes.AttemptCounts(
        total=len(attempts),
        lost=sum(map(is_loss, ends)),
        failed=sum(map(is_failure, ends)),
        handed_back=sum(end.outcome == "handed_back" for end in ends),
        lost_in_a_row=len(since_progress(attempts, is_loss)),
        failed_in_a_row=len(since_progress(attempts, is_failure)),
    )


def _failure(attempt: AttemptFolder, end: AttemptEnd, unread: list[str]) -> shapes.Failure:
    """An attempt after which the job was queued again, and the limits that it counts against."""
    claim = _or_none(attempt.claim, unread)
    return shapes.Failure(
        attempt=attempt.number,
        outcome=end.outcome,
        code=end.error.code if end.error else None,
        message=end.error.message if end.error else None,
        is_failure=end.counts_as_failure,
        is_loss=end.counts_as_loss,
        has_progress=end.has_progress,
        worker=claim.owner if claim else None,
        host=claim.host if claim else None,
        ended_at=end.ended_at,
    )


def _urls(job_id: str) -> shapes.JobUrls:
    own = f"/jobs/{job_id}"
    urls: dict[str, Any] = {name: f"{own}/{name}" for name in shapes.JobUrls.model_fields}
    urls |= {"self": own, "log": f"{own}/training_log.csv", "bundle": f"{own}/bundle.zip"}
    return shapes.JobUrls.model_construct(**urls)
