"""Jobs for the page's tests: real ones that the service trains, and some written by hand with given curves."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from shared.events import Event
from shared.job import Ending, Stop
from shared.job_folder import JobFolder
from shared.open_job import OpenJob
from tests.support.api_process import ApiProcess
from tests.support.epochs import epoch, tell
from tests.support.jobs import LONG, claim, put_job, small_spec
from tests.support.waiting import wait_for
from tests.unit.shared.histories import claimed_at, ended_at, epoch_event, event, posted_at, stopped, told

TERMINAL = {"succeeded", "failed", "cancelled"}


def posted(api: ApiProcess, **parts) -> str:
    """Post a job, and return its id; `parts` as in `small_spec`."""
    answer = api.ask("POST", "/jobs", small_spec(**parts))
    assert answer.status == 202, answer.body
    return answer.json["id"]


def over(api: ApiProcess, job_id: str) -> dict:
    """Wait until a job has finished, and return its document."""

    def look():
        job = api.ask("GET", f"/jobs/{job_id}").json
        return job if job["status"] in TERMINAL else None

    return wait_for(look, 120, every=0.1, saying=f"{job_id} is over")


@contextmanager
def held_up(api: ApiProcess) -> Iterator[None]:
    """Occupy the worker's one slot until the end of the `with` block: jobs that are posted in it wait."""
    before = posted(api, **LONG)
    try:
        wait_for(lambda: api.ask("GET", f"/jobs/{before}").json["status"] == "running", 60, saying="the slot is taken")
        yield
    finally:
        api.ask("POST", f"/jobs/{before}/cancel")


def written_epoch(epoch: int, milliseconds: int, best: int, rate: float, **metrics: float | None) -> Event:
    told_plainly = epoch_event(epoch, milliseconds, 0.5, best, **metrics)
    value = metrics["val_accuracy"] or 0.0
    kept = {"epoch": best, "monitor": "val_accuracy", "value": value}
    return replace(told_plainly, data={**told_plainly.data, "learning_rate": rate, "best": kept})


def interrupted_job(volume) -> JobFolder:
    """A job that early stopping ended at epoch 24: best at 14, lower rate from 20, resumed by attempt 2 in epoch 9."""
    job = posted_at(volume, epochs=1000)
    first = claimed_at(job, 1, 0, 3.6, "EUR")
    told(first, [_epoch(epoch) for epoch in range(1, 12)])
    ended_at(first, 8000, "lost", held=8.0)
    second = claimed_at(job, 2, 9000, 3.6, "EUR")
    resumed = event("resume", 9500, epoch=9, batch=0, from_attempt=1)
    saved = event("checkpoint", 17_100, epoch=14, name="model-14-0.80.keras", is_best=True, bytes=1)
    rows = [_epoch(epoch, since=10_000) for epoch in range(9, 25)]
    told(second, [resumed, *rows[:6], saved, *rows[6:]])
    ended_at(second, 23_000, "finished", stopped("early_stopping", 24, 14, 1000))
    return job


def _epoch(epoch: int, since: int = 0) -> Event:
    value = round(0.8 - abs(14 - epoch) * 0.01, 4)
    best = min(epoch, 14)
    rate = 0.001 if epoch < 20 else 0.0001
    metrics = {"loss": 1 / epoch, "accuracy": value + 0.02, "val_loss": 1 / epoch + 0.1, "val_accuracy": value}
    return written_epoch(epoch, since + 500 * epoch, best, rate, **metrics)


def finished_job(volume, epochs: int, last: float, **parts) -> JobFolder:
    """A job that has completed its epochs. The last one is the best, with a val_accuracy of `last`."""
    job = put_job(volume, small_spec(**parts))
    finish(volume, job, epochs, last)
    return job


def finish(volume, job: JobFolder, epochs: int, last: float) -> None:
    """Run a waiting job to its end at once."""
    rows = [epoch(number, last - 0.01 * (epochs - number), epochs=epochs) for number in range(1, epochs + 1)]
    tell(claim(job, dollars_per_hour=2), *rows)
    job.settle(Ending(status="succeeded", stop=Stop(reason="epochs_completed", last_epoch=epochs)), attempt=1)
    volume.close_job(OpenJob(5, job.id))


def long_job(volume, epochs: int = 5000) -> JobFolder:
    """A job that has run for thousands of epochs and continues."""
    job = posted_at(volume, epochs=100_000)
    attempt = claimed_at(job, 1, 0, 3.6, "EUR")
    rows = [
        epoch_event(
            number, 1000 + number, 0.001, number, loss=1 / number, val_loss=2 / number, val_accuracy=1 - 1 / number
        )
        for number in range(1, epochs + 1)
    ]
    told(attempt, rows)
    return job
