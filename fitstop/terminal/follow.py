"""Follow a job: its newest state and the events since the last look, until it has finished."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from fitstop.client import TERMINAL, Client, Json
from fitstop.errors import ApiError, Unreachable

LOOK_SECONDS = 0.3
# A service that is restarted comes back well within this.
LOST_SECONDS = 300.0


@dataclass(frozen=True)
class Moment:
    """One look. `trouble` says why there is no answer; then `job` is as it was last seen (None before the first)."""

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
    """Look every `look_seconds` until the job has finished; the last moment holds the terminal job and its last events.

    Without an answer it tries again, with `trouble` set, and raises the error after `lost_seconds`. Other
    errors (the job is unknown, the key is wrong) are raised at once. Raises TimeoutError where the job has not finished
    after `timeout` seconds.
    """
    job: Json | None = None
    cursor: str | None = None
    lost_since: float | None = None
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            seen = client.job(job_id)
            # The events after the state: what a terminal job wrote is all there.
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
    """The pieces of `page`, and those that are printed after it until the job has finished.

    Without an answer it tries again, and raises the error after LOST_SECONDS.
    """
    yield from page["data"]
    lost_since: float | None = None
    while True:
        try:
            # Asked before the output: nothing is printed after the end.
            is_over = client.job(job_id)["status"] in TERMINAL
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
            is_over = False
        if is_over:
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
