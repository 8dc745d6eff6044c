"""How a job's attempts count: which were lost, which failed, and how many of each in a row without progress."""

from collections.abc import Callable, Sequence

from shared.job import AttemptEnd
from shared.job_folder import AttemptFolder
from shared.points import start_of

Counts = Callable[[AttemptEnd], bool]


def is_loss(end: AttemptEnd) -> bool:
    return end.counts_as_loss


def is_failure(end: AttemptEnd) -> bool:
    return end.counts_as_failure


def since_progress(attempts: Sequence[AttemptFolder], counts: Counts) -> list[AttemptFolder]:
    """Of attempts that have ended, oldest first, those that count since the last one with progress; newest first.

    Progress that the attempt after it could not resume from is none: points that are damaged would keep a job in a
    circle.
    """
    found: list[AttemptFolder] = []
    later: AttemptFolder | None = None
    for attempt in reversed(attempts):
        end = attempt.end()
        if end is not None and end.has_progress and _was_used(attempt, later):
            break
        if end is not None and counts(end):
            found.append(attempt)
        later = attempt
    return found


def _was_used(attempt: AttemptFolder, later: AttemptFolder | None) -> bool:
    """Whether `later` began beyond the place where `attempt` began; so also where nobody can tell."""
    if later is None:
        return True
    before, after = start_of(attempt), start_of(later)
    return before is None or after is None or after > before
