"""Until when a job that failed waits for its next attempt."""

from shared.job import AttemptEnd
from shared.times import seconds_until

MOST_BACKOFF_SECONDS = 300


def backs_off_until(end: AttemptEnd | None) -> str | None:
    """The moment before which nobody takes the job again; None where it may run now.

    A moment further off than any back-off was written by a clock that is wrong, and nobody waits a day for that.
    """
    if end is None or end.retry_at is None:
        return None
    return end.retry_at if 0 < seconds_until(end.retry_at) <= MOST_BACKOFF_SECONDS else None
