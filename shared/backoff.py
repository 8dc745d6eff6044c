"""The back-off of a failed job before its next attempt."""

from shared.job import AttemptEnd
from shared.times import seconds_until

MOST_BACKOFF_SECONDS = 300


def backs_off_until(end: AttemptEnd | None) -> str | None:
    """The time before which no worker takes the job again; None if it may run now.

    A time beyond any back-off comes from a wrong clock and is ignored.
    """
    if end is None or end.retry_at is None:
        return None
    return end.retry_at if 0 < seconds_until(end.retry_at) <= MOST_BACKOFF_SECONDS else None
