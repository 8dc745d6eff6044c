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


class RowReader:
    """Reads the rows of a job's log. Later reads fetch only new events."""

    def __init__(self, client: Client, job: Json) -> None:
        self._client = client
        self._job_id = job["id"]
        self._moment = seconds_of(job["started_at"] or job["created_at"])
        self._ends: dict[int, float] = {}
        self._cursor: str | None = None

    def read(self, after: int = 0) -> Iterator[Row]:
        """The rows after the epoch `after`, oldest first.

        An epoch that was computed twice has the moment of its last computation so far.
        """
        self._read_events()
        for one in self._client.all_epochs(self._job_id, after):
            # The log of an older version may lack the event.
            self._moment = self._ends.get(one["epoch"], self._moment + one["seconds"])
            yield Row(one["epoch"], self._moment, {**one["metrics"], LEARNING_RATE: one["learning_rate"]})
            self._ends.pop(one["epoch"], None)

    def _read_events(self) -> None:
        for one in self._client.all_events(self._job_id, self._cursor):
            self._cursor = one["id"]
            if one["type"] == "epoch" and "epoch" in one["data"]:
                self._ends[one["data"]["epoch"]] = seconds_of(one["time"])


def read_rows(client: Client, job: Json) -> Iterator[Row]:
    """The rows of the log, oldest first, as `RowReader` reads them."""
    return RowReader(client, job).read()


def seconds_of(time: str) -> float:
    """A time of the API in seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()
