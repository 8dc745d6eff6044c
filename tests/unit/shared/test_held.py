"""How long an attempt held its GPU: what its owner measured, and for older files only what they prove."""

from dataclasses import replace

import pytest

from shared.events import Event
from shared.held import held_by, moment_of
from shared.job import AttemptEnd
from shared.job_folder import AttemptFolder
from shared.volume import Volume
from tests.unit.shared.histories import at, claimed_at, event, posted_at, told

DAY_MS = 86_400_000


@pytest.fixture
def attempt(volume: Volume) -> AttemptFolder:
    return claimed_at(posted_at(volume), 1, 0)


def held(attempt: AttemptFolder, outcome: str, milliseconds: int, seconds: float | None = None) -> int:
    claim = attempt.claim()
    assert claim is not None
    document = {"outcome": outcome, "ended_at": at(milliseconds), "held_seconds": seconds}
    return held_by(attempt, claim, AttemptEnd.model_validate(document))


@pytest.mark.parametrize("outcome", ["finished", "handed_back", "lost", "failed"])
@pytest.mark.parametrize("ended", [-DAY_MS, 0, DAY_MS])
def test_what_was_measured_counts_whatever_the_wall_clocks_say(
    attempt: AttemptFolder, outcome: str, ended: int
) -> None:
    told(attempt, [event("model", 7_200_000)])
    assert held(attempt, outcome, ended, 2.5) == 2_500_000


def test_an_owner_that_measured_nothing_is_believed_by_its_own_clock(attempt: AttemptFolder) -> None:
    assert held(attempt, "failed", 1500) == 1_500_000
    assert held(attempt, "failed", -1500) == 0


def test_of_a_lost_attempt_the_time_after_its_last_event_is_nobodys(attempt: AttemptFolder) -> None:
    assert held(attempt, "lost", 75_000) == 0
    told(attempt, [event("model", 1000), event("epoch", 5000), event("state", 75_000)])
    assert held(attempt, "lost", 75_000) == 5_000_000
    told(attempt, [replace(event("epoch", DAY_MS), at=6.25)])
    assert held(attempt, "lost", 75_000) == 6_250_000


def test_an_event_is_as_late_as_its_owner_measured_else_as_the_wall_clock_says(attempt: AttemptFolder) -> None:
    claim = attempt.claim()
    assert claim is not None
    assert moment_of(Event("x", "x", {}, time=at(-DAY_MS), at=1.25), claim) == 1_250_000
    assert moment_of(event("x", 1250), claim) == 1_250_000
    assert moment_of(event("x", -1250), claim) == 0
