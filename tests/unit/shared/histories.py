"""Jobs written by hand with their own clock, for the tests of the ledger, the replay and the forecast."""

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.durable import create_file, encode
from shared.events import Event, EventWriter
from shared.history import JobHistory, JobReader
from shared.job import AttemptEnd, Claim, Ending, JobResult, Stop, as_json
from shared.job_folder import AttemptFolder, JobFolder
from shared.progress import Best, LastImprovement
from shared.times import format_time
from shared.volume import Volume
from tests.unit.shared.records import record, spec

_BEGIN = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(milliseconds: int) -> str:
    """Return the time `milliseconds` after the start of the test's clock."""
    return format_time(_BEGIN + timedelta(milliseconds=milliseconds))


def microseconds_at(milliseconds: int) -> int:
    """Return the same time in microseconds, as the ledger counts it."""
    return round((_BEGIN + timedelta(milliseconds=milliseconds)).timestamp() * 1000) * 1000


def written_at(file: Path, milliseconds: int) -> None:
    """Set the file's time on the volume's clock."""
    os.utime(file, ns=(0, microseconds_at(milliseconds) * 1000))


def posted_at(volume: Volume, milliseconds: int = 0, *, wall: int | None = None, **hyperparameters: Any) -> JobFolder:
    """Post a job at that time, by a host whose clock shows `wall`."""
    new = record(document={**spec(), "hyperparameters": hyperparameters})
    told = milliseconds if wall is None else wall
    job = volume.store_job(new.model_copy(update={"created_at": at(told)}))
    written_at(job.spec_file, milliseconds)
    return job


def claimed_at(
    job: JobFolder,
    number: int,
    milliseconds: int,
    price: float | None = None,
    currency: str | None = None,
    *,
    wall: int | None = None,
    devices: int = 1,
) -> AttemptFolder:
    """Claim an attempt at that time, by a host whose clock shows `wall`."""
    attempt = job.take(
        Claim(
            attempt=number,
            owner="w",
            host="here",
            devices=devices,
            pid=1,
            slot=0,
            device="CPU",
            claimed_at=at(milliseconds if wall is None else wall),
            gpu_price_per_hour=price,
            currency=currency,
        )
    )
    assert attempt is not None
    written_at(attempt.claim_file, milliseconds)
    return attempt


def told(attempt: AttemptFolder, events: Iterable[Event]) -> None:
    """Write events of an attempt."""
    with EventWriter(attempt.events_file) as writer:
        writer.write(events)


def event(kind: str, milliseconds: int, **facts: Any) -> Event:
    return Event(kind, kind, facts, time=at(milliseconds))


def epoch_event(
    epoch: int,
    milliseconds: int,
    seconds: float,
    best: int | None = None,
    epochs: int = 1000,
    *,
    improved: int | None = None,
    **metrics: float | None,
) -> Event:
    """Return the event of an epoch that ended then, with the best model and the last improvement so far."""
    stopping = {
        "monitor": "val_accuracy",
        "wait": 0,
        "patience": 10,
        "stops_at_epoch": epochs,
        "last_improvement": improved and {"epoch": improved, "value": 0.5, "min_delta": 0.001},
    }
    facts = {
        "epoch": epoch,
        "epochs": epochs,
        "metrics": metrics,
        "learning_rate": 0.001,
        "seconds": seconds,
        "best": best and {"epoch": best, "monitor": "val_accuracy", "value": 0.5},
        "early_stopping": stopping,
        "reduce_lr": None,
    }
    return Event("epoch", f"epoch {epoch}", facts, time=at(milliseconds))


def ended_at(
    attempt: AttemptFolder,
    milliseconds: int,
    outcome: str,
    ending: Ending | None = None,
    *,
    wall: int | None = None,
    held: float | None = None,
    uncharged: float = 0.0,
) -> None:
    """End an attempt and, if `ending` is given, its job; `held`: seconds that its owner measured."""
    told = at(milliseconds if wall is None else wall)
    seconds = {"held_seconds": held, "uncharged_seconds": uncharged}
    document = {"outcome": outcome, "ended_at": told, "ending": ending, **seconds}
    attempt.close(AttemptEnd.model_validate(document))
    written_at(attempt.end_file, milliseconds)
    if ending is not None:
        over_at(attempt.job, milliseconds, ending, attempt.number)


def over_at(job: JobFolder, milliseconds: int, ending: Ending, attempt: int | None) -> None:
    result = JobResult(finished_at=at(milliseconds), attempt=attempt, ending=ending)
    create_file(job.result_file, encode(as_json(result)))
    written_at(job.result_file, milliseconds)


def _best(epoch: int | None) -> Best | None:
    return Best(epoch=epoch, monitor="val_accuracy", value=0.5) if epoch else None


def stopped(reason: str, last: int, best: int | None, epochs: int, status: str = "succeeded") -> Ending:
    improvement = LastImprovement(epoch=best, value=0.5, min_delta=0.001) if best else None
    rule = {"monitor": "val_accuracy", "last_improvement": improvement, "wait": last - (best or 0), "patience": 10}
    stop = Stop(reason=reason, last_epoch=last, best=_best(best), epochs_not_run=epochs - last, **rule)
    return Ending.model_validate({"status": status, "stop": stop})


def history(job: JobFolder) -> JobHistory:
    """Read the job as it is now."""
    read = JobReader(job).read_on()
    assert read is not None
    return read


def _highest(values: Sequence[float | None]) -> int | None:
    """Return the epoch of the highest value, the first of equal ones; None if no epoch has a value."""
    finite = [value for value in values if value is not None]
    return values.index(max(finite)) + 1 if finite else None


def trained(volume: Volume, curve: Sequence[float | None], epochs: int = 1000, seconds: float = 0.1) -> JobFolder:
    """Store a running job with a row of val_accuracy for each value."""
    job = posted_at(volume, epochs=epochs)
    attempt = claimed_at(job, 1, 0, 3.6, "EUR")
    step = round(seconds * 1000)
    rows = [
        epoch_event(epoch, 1000 + epoch * step, seconds, _highest(curve[:epoch]), epochs, val_accuracy=value)
        for epoch, value in enumerate(curve, 1)
    ]
    told(attempt, rows)
    return job
