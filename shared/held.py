"""How long an attempt held its GPU, and the times of its events: by its owner's clock, from the claim.

The wall clocks of two machines may differ by a day, and each may be stepped, so they are never subtracted if the owner
measured the time. Files of older versions have only wall-clock times. Their differences are at least zero, and a lost
attempt counts up to its last event, since another machine wrote its end later.
"""

from shared.events import Event, last_events
from shared.job import AttemptEnd, Claim
from shared.job_folder import AttemptFolder
from shared.times import microseconds


def held_by(attempt: AttemptFolder, claim: Claim, end: AttemptEnd) -> int:
    """How long an ended attempt held its GPU, in microseconds."""
    if end.held_seconds is not None:
        return round(end.held_seconds * 1e6)
    if end.outcome != "lost":
        return max(0, microseconds(end.ended_at) - microseconds(claim.claimed_at))
    return held_so_far(attempt, claim)


def held_so_far(attempt: AttemptFolder, claim: Claim) -> int:
    """How long an attempt had held its GPU at its last event, in microseconds."""
    # A worker that ends a lost attempt may write its state, too.
    last = next((event for event in last_events(attempt) if event.type != "state"), None)
    return moment_of(last, claim) if last else 0


def moment_of(event: Event, claim: Claim) -> int:
    """When an event of the attempt's owner happened, in microseconds since the claim."""
    if event.at is not None:
        return round(event.at * 1e6)
    return max(0, microseconds(event.time) - microseconds(claim.claimed_at))
