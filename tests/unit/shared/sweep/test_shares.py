"""Shares of a budget never exceed it together, and trials that keep to their shares use almost all of it."""

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.sweep.shares import REACH_SECONDS, Use, divide

AMOUNTS = st.floats(0, 1e5)


@settings(max_examples=200, deadline=None)
@given(
    limit=st.floats(0.01, 1e6),
    ended=AMOUNTS,
    uses=st.lists(st.builds(Use, AMOUNTS, AMOUNTS), max_size=6),
    most=st.integers(0, 8),
    second=st.none() | st.floats(1e-6, 10),
)
def test_what_ended_trials_used_and_all_shares_never_exceed_the_limit(
    limit: float, ended: float, uses: list[Use], most: int, second: float | None
) -> None:
    shares = divide(limit, ended, uses, most, second)
    taken = sum(max(share, use.used) for share, use in zip(shares, uses, strict=True))
    before = sum(use.taken for use in uses)
    assert ended + taken <= max(limit, ended + before) * (1 + 1e-9)
    assert all(share >= use.share for share, use in zip(shares, uses, strict=True))


@dataclass
class Played:
    """A trial that trains for `length` seconds or until its share is used."""

    length: float
    share: float
    used: float = 0.0

    @property
    def has_ended(self) -> bool:
        return self.used >= min(self.length, self.share)

    def train(self, seconds: float) -> None:
        self.used = min(self.used + seconds, self.length, self.share)


def play(limit: float, lengths: list[float], parallel: int, slots: int, chance: random.Random) -> list[Played]:
    """Play a sweep whose workers look at it late, by up to two seconds."""
    trials: list[Played] = []
    while True:
        running = [trial for trial in trials if not trial.has_ended]
        ended = sum(trial.used for trial in trials if trial.has_ended)
        begins = lengths and len(running) < parallel
        uses = [Use(trial.share, trial.used) for trial in running] + [Use(0.0, 0.0)] * bool(begins)
        most = min(parallel, len(running) + len(lengths))
        shares = divide(limit, ended, uses, most, 1.0)
        for trial, share in zip(running, shares, strict=False):
            trial.share = share
        if begins and shares[-1] >= 2:
            trials.append(Played(lengths.pop(0), shares[-1]))
            continue
        if not running:
            return trials
        late = chance.uniform(0.1, 2.0)
        for trial in running[:slots]:
            trial.train(late)


@pytest.mark.parametrize("slots", [1, 2, 4])
@pytest.mark.parametrize("parallel", [1, 2, 4])
def test_endless_trials_use_up_the_whole_budget_and_no_more(parallel: int, slots: int) -> None:
    chance = random.Random(10 * parallel + slots)
    for limit in (30.0, 100.0, 5000.0):
        short = [chance.uniform(1, limit / 30) for _ in range(20)]
        trials = play(limit, [*short, *([1e9] * parallel)], parallel, slots, chance)
        assert sum(trial.used for trial in trials) == pytest.approx(limit, rel=0.02)
        assert sum(trial.used for trial in trials) <= limit * (1 + 1e-9)


def test_a_trial_that_waits_holds_little_of_the_budget() -> None:
    shares = divide(10_000, 0, [Use(0, 0)] * 10, 10, 1.0)
    assert sum(shares) == pytest.approx(1000), "one hundredth of the budget for each"
    raised = divide(10_000, 0, [Use(100, 60), *[Use(100, 0)] * 9], 10, 1.0)
    assert raised[0] == pytest.approx(160)
    assert raised[1:] == [100] * 9


def test_a_short_trial_of_a_small_budget_has_time_between_two_looks() -> None:
    assert divide(100, 0, [Use(0, 0)], 2, 1.0) == [REACH_SECONDS]
    assert divide(30, 0, [Use(0, 0)], 2, 1.0) == [15]


def test_where_no_price_is_known_half_of_the_cost_stays_for_later() -> None:
    assert divide(8, 0, [Use(0, 0), Use(0, 0)], 2, None) == [2, 2]
