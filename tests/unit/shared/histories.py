"""Jobs written by hand with a clock of their own: what the tests of the ledger, the replay and the forecast read."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.durable import create_file, encode
from shared.events import Event, EventWriter
from shared.history import JobHistory, JobReader
from shared.job import AttemptEnd, Claim, Ending, JobResult, Stop, stored
from shared.job_folder import AttemptFolder, JobFolder
from shared.times import format_time
from shared.volume import Volume
from tests.unit.shared.records import record, spec

_BEGIN = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(milliseconds: int) -> str:
    """So many milliseconds after the beginning of the test's time."""
    return format_time(_BEGIN + timedelta(milliseconds=milliseconds))


def microseconds_at(milliseconds: int) -> int:
    """The same as the ledger counts it."""
    return round((_BEGIN + timedelta(milliseconds=milliseconds)).timestamp() * 1000) * 1000


def posted_at(volume: Volume, milliseconds: int = 0, **hyperparameters: Any) -> JobFolder:
    """A job that was posted then."""
    new = record(document={**spec(), "hyperparameters": hyperparameters})
    return volume.store_job(new.model_copy(update={"created_at": at(milliseconds)}))


def claimed_at(
    job: JobFolder, number: int, milliseconds: int, price: float | None = None, currency: str | None = None
) -> AttemptFolder:
    """An attempt that was claimed then."""
    attempt = job.take(
        Claim(
            attempt=number,
            owner="w",
            host="here",
            pid=1,
            slot=0,
            device="CPU",
            claimed_at=at(milliseconds),
            gpu_price_per_hour=price,
            currency=currency,
        )
    )
    assert attempt is not None
    return attempt


def told(attempt: AttemptFolder, events: Iterable[Event]) -> None:
    """Events of an attempt."""
    with EventWriter(attempt.events_file) as writer:
        writer.write(events)


def event(kind: str, milliseconds: int, **facts: Any) -> Event:
    return Event(kind, kind, facts, time=at(milliseconds))


def epoch_event(
    epoch: int, milliseconds: int, seconds: float, best: int | None = None, epochs: int = 1000, **metrics: float | None
) -> Event:
    """An epoch that ended then."""
    stopping = {
        "monitor": "val_accuracy",
        "wait": 0,
        "patience": 10,
        "stops_at_epoch": epochs,
        "best_epoch": best,
        "best_value": None,
    }
    facts = {
        "epoch": epoch,
        "epochs": epochs,
        "metrics": metrics,
        "learning_rate": 0.001,
        "seconds": seconds,
        "best": None,
        "early_stopping": stopping,
        "reduce_lr": None,
    }
    return Event("epoch", f"epoch {epoch}", facts, time=at(milliseconds))


def ended_at(attempt: AttemptFolder, milliseconds: int, outcome: str, ending: Ending | None = None) -> None:
    """The end of an attempt, and where it brings one, of its job."""
    document = {"outcome": outcome, "ended_at": at(milliseconds), "ending": ending}
    attempt.close(AttemptEnd.model_validate(document))
    if ending is not None:
        over_at(attempt.job, milliseconds, ending, attempt.number)


def over_at(job: JobFolder, milliseconds: int, ending: Ending, attempt: int | None) -> None:
    result = JobResult(finished_at=at(milliseconds), attempt=attempt, ending=ending)
    create_file(job.result_file, encode(stored(result)))


def stopped(reason: str, last: int, best: int | None, epochs: int, status: str = "succeeded") -> Ending:
    stop = Stop(reason=reason, last_epoch=last, best_epoch=best, epochs_not_run=epochs - last)
    return Ending.model_validate({"status": status, "stop": stop})


def history(job: JobFolder) -> JobHistory:
    """The job as it is now."""
    read = JobReader(job).read_on()
    assert read is not None
    return read


def trained(volume: Volume, curve: Sequence[float | None], epochs: int = 1000, seconds: float = 0.1) -> JobFolder:
    """A job that runs, with a row of val_accuracy for each value."""
    job = posted_at(volume, epochs=epochs)
    attempt = claimed_at(job, 1, 0, 3.6, "EUR")
    step = round(seconds * 1000)
    rows = [
        epoch_event(epoch, 1000 + epoch * step, seconds, epochs=epochs, val_accuracy=value)
        for epoch, value in enumerate(curve, 1)
    ]
    told(attempt, rows)
    return job
