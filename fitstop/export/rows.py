"""The rows of a job's log with the moment of each, for programs that show time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from fitstop.client import Client, Json

LEARNING_RATE = "learning_rate"


@dataclass(frozen=True)
class Row:
    """One epoch, from 1. `moment` is in seconds since 1970; a value that was not finite is None."""

    epoch: int
    moment: float
    values: dict[str, float | None]


def read_rows(client: Client, job: Json) -> Iterator[Row]:
    """The rows of the log, oldest first. An epoch that was computed twice has the moment of its last computation."""
    ends = _ends_of_epochs(client, job["id"])
    moment = seconds_of(job["started_at"] or job["created_at"])
    for one in client.all_epochs(job["id"]):
        # What an older version recorded may lack the event.
        moment = ends.get(one["epoch"], moment + one["seconds"])
        yield Row(one["epoch"], moment, {**one["metrics"], LEARNING_RATE: one["learning_rate"]})


def seconds_of(time: str) -> float:
    """A time of the API in seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()


def _ends_of_epochs(client: Client, job_id: str) -> dict[int, float]:
    events = (one for one in client.all_events(job_id) if one["type"] == "epoch")
    return {one["data"]["epoch"]: seconds_of(one["time"]) for one in events if "epoch" in one["data"]}
