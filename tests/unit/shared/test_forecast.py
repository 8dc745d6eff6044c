"""The promises of the forecast; `make bench-forecast` measures how good it is."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.forecast import Score, left_out, moments, recorded, score
from shared.forecast import forecast
from shared.replay import replay
from shared.spec import EarlyStoppingSpec


def rule(patience: int = 10, mode: str = "max", start: int = 0) -> EarlyStoppingSpec:
    return EarlyStoppingSpec.model_validate(
        {"monitor": "value", "mode": mode, "patience": patience, "start_from_epoch": start}
    )


VALUES = st.lists(st.one_of(st.none(), st.floats(-10, 10, width=32)), min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(VALUES, st.integers(1, 20), st.integers(0, 30), st.integers(1, 200), st.sampled_from(["min", "max"]))
def test_it_is_never_later_than_the_epochs_and_never_sooner_than_patience_allows(
    values: list[float | None], patience: int, start: int, epochs: int, mode: str
) -> None:
    spec = rule(patience, mode, start)
    past = replay(values, spec)
    if past.stop(patience) is not None:
        return
    found = forecast(values, spec, epochs)
    if found is None:
        assert len(values) >= epochs or sum(value is not None for value in values) < 3
        return
    soonest = min(epochs, len(values) + patience - past.wait)
    assert soonest <= found.p10 <= found.p50 <= found.p90 <= epochs
    assert 0 <= found.chance_of_better <= 1


def test_the_same_curve_gets_the_same_answer() -> None:
    curve = [random.Random(1).random() for _ in range(30)]
    assert forecast(curve, rule(30), 1000) == forecast(curve, rule(30), 1000)


def test_a_curve_that_climbs_is_expected_to_go_on_and_a_flat_one_to_stop() -> None:
    climbing = forecast([0.01 * epoch for epoch in range(40)], rule(), 1000)
    chance = random.Random(2)
    flat = forecast([0.9, *(0.5 + 0.001 * chance.random() for _ in range(8))], rule(), 1000)
    assert climbing is not None
    assert flat is not None
    assert climbing.chance_of_better > 0.9
    assert climbing.p10 > 50
    assert (flat.p10, flat.p90) == (11, 11)
    assert flat.chance_of_better < 0.1


def test_the_direction_of_the_monitor_counts() -> None:
    falling = [1 - 0.01 * epoch for epoch in range(40)]
    as_loss, as_score = forecast(falling, rule(50, "min"), 1000), forecast(falling, rule(50, "max"), 1000)
    assert as_loss is not None
    assert as_score is not None
    assert as_loss.p50 > 100
    assert as_score.p50 == 51
    assert as_score.chance_of_better < 0.5


@pytest.mark.parametrize("values", [[], [0.1, 0.2], [None] * 10, [0.1] * 20])
def test_too_few_epochs_or_none_left_have_no_forecast(values: list[float | None]) -> None:
    assert forecast(values, rule(50), 20) is None


def test_a_constant_curve_and_a_very_long_one_are_no_trouble() -> None:
    constant = forecast([0.5] * 5, rule(), 100_000)
    assert constant is not None
    assert constant.p50 == 11
    noisy = random.Random(3)
    values: list[float | None] = [noisy.random() for _ in range(5000)]
    found = forecast(values, rule(5000), 100_000)
    assert found is not None
    assert found.p10 >= 10_000 - replay(values, rule(5000)).wait


def test_it_beats_both_naive_answers_on_data_sets_that_it_has_not_seen() -> None:
    found: Score = score(left_out([one for one in moments(count=2) if one.spec.patience == 10]))
    assert 0.7 <= found.within <= 0.9
    assert found.median_error <= 0.5 * min(found.median_of_epochs, found.median_of_patience_left)
    assert found.mean_error < 0.9 * found.mean_of_patience_left


def test_the_recorded_curves_are_sixty_and_more() -> None:
    curves = list(recorded())
    assert len(curves) >= 60
    assert len({data_set for data_set, _, _ in curves}) == 12
