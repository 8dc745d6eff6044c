"""How a job's attempts count: which were lost, which failed, and how many of each in a row without progress."""

from collections.abc import Callable, Sequence

from shared.job import AttemptEnd
from shared.job_folder import AttemptFolder
from shared.points import start_of

Ended = tuple[AttemptFolder, AttemptEnd | None]
Counts = Callable[[AttemptEnd], bool]


def is_loss(end: AttemptEnd) -> bool:
    return end.counts_as_loss


def is_failure(end: AttemptEnd) -> bool:
    return end.counts_as_failure


def with_ends(attempts: Sequence[AttemptFolder]) -> list[Ended]:
    """Each attempt with its end; None for one that has not ended."""
    return [(attempt, attempt.end()) for attempt in attempts]


def since_progress(attempts: Sequence[Ended], counts: Counts) -> list[AttemptFolder]:
    """The attempts that have ended and count, since the last one with progress; newest first.

    `attempts`: oldest first. An attempt made progress if the next attempt started from a later point: if its own points
    counted, damaged ones could repeat a job endlessly. If either start is unknown, as for the newest attempt, its end
    decides.
    """
    found: list[AttemptFolder] = []
    later: AttemptFolder | None = None
    for attempt, end in reversed(attempts):
        if end is not None and _has_progress(attempt, end, later):
            break
        if end is not None and counts(end):
            found.append(attempt)
        later = attempt
    return found


def _has_progress(attempt: AttemptFolder, end: AttemptEnd, later: AttemptFolder | None) -> bool:
    before, after = start_of(attempt), start_of(later) if later else None
    return end.has_progress if before is None or after is None else after > before
