"""Follows a job until it has finished: polls its state and its new events."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from fitstop.client import TERMINAL, Client, Json
from fitstop.errors import ApiError, Unreachable

LOOK_SECONDS = 0.3
# A service that restarts answers again well before this.
LOST_SECONDS = 300.0


@dataclass(frozen=True)
class Moment:
    """The result of one poll. `trouble`: why there was no answer; then `job` is from the last answer, if any."""

    job: Json | None
    events: list[Json] = field(default_factory=list)
    trouble: str | None = None


def follow(
    client: Client,
    job_id: str,
    *,
    look_seconds: float = LOOK_SECONDS,
    lost_seconds: float = LOST_SECONDS,
    timeout: float | None = None,
) -> Iterator[Moment]:
    """Poll every `look_seconds` until the job has finished. The last moment has the finished job and its last events.

    If the service stops answering, it tries again, with `trouble` set, and raises the error after `lost_seconds`.
    Errors of the first poll and other errors, such as a wrong key, are raised at once. Raises TimeoutError if the job
    has not finished after `timeout` seconds.
    """
    job: Json | None = None
    cursor: str | None = None
    lost_since: float | None = None
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            seen = client.job(job_id)
            # Events are read after the state, so that those of a finished job are complete.
            events, cursor = _events_after(client, job_id, cursor)
        except (Unreachable, ApiError) as error:
            lost_since = lost_since or time.monotonic()
            if job is None or time.monotonic() - lost_since > lost_seconds:
                raise
            yield Moment(job, trouble=str(error))
        else:
            job, lost_since = seen, None
            yield Moment(job, events)
            if job["status"] in TERMINAL:
                return
        if deadline is not None and time.monotonic() >= deadline:
            raise TimeoutError(f"the job {job_id} has not finished after {timeout:g} seconds; it continues")
        time.sleep(look_seconds)


def follow_output(client: Client, job_id: str, page: Json, *, look_seconds: float = LOOK_SECONDS) -> Iterator[Json]:
    """Yield the pieces of output in `page`, and then all later ones until the job has finished.

    Without an answer it tries again, and raises the error after LOST_SECONDS.
    """
    yield from page["data"]
    lost_since: float | None = None
    while True:
        try:
            # The status is read before the output, so that the output of a finished job is complete.
            has_ended = client.job(job_id)["status"] in TERMINAL
            while True:
                page = client.output(job_id, page["next"])
                yield from page["data"]
                if not page["has_more"]:
                    break
            lost_since = None
        except (Unreachable, ApiError):
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > LOST_SECONDS:
                raise
            has_ended = False
        if has_ended:
            return
        time.sleep(look_seconds)


def _events_after(client: Client, job_id: str, cursor: str | None) -> tuple[list[Json], str | None]:
    events: list[Json] = []
    while True:
        page = client.events(job_id, cursor)
        events += page["data"]
        cursor = page["next"] or cursor
        if not page["has_more"] or not page["data"]:
            return events, cursor
