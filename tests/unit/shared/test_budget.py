"""A budget counts what all attempts held, at the price of their workers, and knows which limit is reached first."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.budget import Held, budget_words, nearest_limit, used_words
from shared.job import BudgetUsed, Claim
from shared.problems import Refused
from shared.spec import Budget, JobSpec
from shared.times import format_time, parse_time, time_in
from shared.validation import validate
from tests.unit.shared.records import resolved, spec


def held(seconds: float, price: float | None = None, currency: str | None = None, devices: int = 1) -> Held:
    claim = Claim(
        attempt=1, owner="w", host="here", pid=1, slot=0, device="GPU", claimed_at="2026-11-23T12:00:00Z",
        gpu_price_per_hour=price, currency=currency, devices=devices,
    )  # fmt: skip
    return Held(claim, seconds)


def test_all_attempts_count_and_the_rest_is_left() -> None:
    nearest = nearest_limit(Budget(max_gpu_seconds=10), [held(3), held(4.5)])
    assert nearest is not None
    assert nearest.used == BudgetUsed(kind="max_gpu_seconds", limit=10, used=7.5)
    assert nearest.seconds_left == 2.5


def test_a_second_on_two_devices_is_two_seconds_of_compute_time() -> None:
    nearest = nearest_limit(Budget(max_gpu_seconds=10), [held(3, devices=2)])
    assert nearest is not None
    assert (nearest.used.used, nearest.seconds_left) == (6.0, 2.0)


def test_an_attempt_costs_what_its_own_worker_asked_else_what_the_newest_asks() -> None:
    attempts = [held(3600, 2, "EUR"), held(3600), held(3600, 9, "USD"), held(1800, 4, "EUR")]
    nearest = nearest_limit(Budget(max_cost=14), attempts)
    assert nearest is not None
    assert nearest.used == BudgetUsed(kind="max_cost", limit=14, used=2 + 4 + 4 + 2, currency="EUR")
    assert nearest.seconds_left == pytest.approx(1800)


def test_what_costs_nothing_never_ends_a_job_unless_it_has_spent_all_before() -> None:
    free = nearest_limit(Budget(max_cost=1), [held(100, 0, "EUR")])
    spent = nearest_limit(Budget(max_cost=1), [held(3600, 2, "EUR"), held(1, 0, "EUR")])
    assert free is not None
    assert spent is not None
    assert (free.seconds_left, spent.seconds_left) == (math.inf, -math.inf)


def test_the_limit_that_is_reached_first_is_the_one_that_is_told() -> None:
    budget = Budget(max_gpu_seconds=100, max_cost=1, deadline=time_in(5))
    nearest = nearest_limit(budget, [held(10, 1, "EUR")])
    assert nearest is not None
    assert nearest.used.kind == "deadline"
    assert 0 < nearest.seconds_left <= 5
    assert nearest_limit(Budget(), [held(10)]) is None
    assert nearest_limit(Budget(max_cost=1), [held(10)]) is None


def test_a_budget_is_said_in_words() -> None:
    assert budget_words(Budget(max_gpu_seconds=5, max_cost=2.5)) == "5 seconds of compute time, or a cost of 2.5"
    assert used_words(BudgetUsed(kind="max_gpu_seconds", limit=5, used=4.871)) == "4.871 of 5 seconds of compute time"
    assert used_words(BudgetUsed(kind="max_cost", limit=2, used=2, currency="EUR")) == "2 of 2 EUR"


@pytest.mark.parametrize(
    ("budget", "place"),
    [
        ({"max_gpu_seconds": 0}, "max_gpu_seconds"),
        ({"max_gpu_seconds": True}, "max_gpu_seconds"),
        ({"max_cost": -1}, "max_cost"),
        ({"max_cost": "5"}, "max_cost"),
        ({"deadline": "tomorrow"}, "deadline"),
        ({"deadline": "2030-01-31T06:00:00"}, "deadline"),
        ({"deadline": "2030-W05-1T06:00:00Z"}, "deadline"),
        ({"deadline": "0001-01-01T00:00:00+14:00"}, "deadline"),
        ({"deadline": 1893456000}, "deadline"),
        ({"deadline": "2020-01-31T06:00:00Z"}, "deadline"),
        ({"max_gpu_second": 5}, "max_gpu_second"),
    ],
)
def test_a_limit_that_is_none_is_refused_at_its_place(budget: dict[str, object], place: str) -> None:
    with pytest.raises(Refused) as refused:
        resolved(spec("budget", budget))
    assert [problem.pointer for problem in refused.value.problems] == [f"#/budget/{place}"]


def test_all_that_is_wrong_with_a_budget_is_told_at_once() -> None:
    with pytest.raises(Refused) as refused:
        validate(JobSpec, spec("budget", {"max_gpu_seconds": 0, "max_cost": -1, "deadline": "x"}))
    assert len(refused.value.problems) == 3


@given(st.datetimes(min_value=parse_time("2050-01-01T00:00:00Z").replace(tzinfo=None)), st.integers(-840, 840))
def test_a_deadline_in_any_zone_is_kept_as_the_same_moment_in_utc(moment: object, minutes: int) -> None:
    local = f"{moment.isoformat(timespec='milliseconds')}{'+' if minutes >= 0 else '-'}"  # type: ignore[attr-defined]
    text = f"{local}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    try:
        expected = format_time(parse_time(text))
    except OverflowError:
        return
    asked = validate(JobSpec, spec("budget", {"deadline": text}))
    assert asked.budget == Budget(deadline=expected)
    assert asked.budget.deadline == expected


def test_a_budget_without_a_limit_is_none() -> None:
    assert resolved(spec("budget", {})).spec.budget is None
    assert resolved(spec("budget", {"max_cost": None})).spec.budget is None
    assert resolved(spec("budget", {"max_cost": 2})).spec.budget == Budget(max_cost=2)
