"""The learning rate of each epoch by a declared schedule."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from shared.schedule import scheduled_rate
from shared.spec import LearningRateScheduleSpec

KINDS = ["cosine", "exponential", "step"]


def rates(epochs, **spec):
    chosen = LearningRateScheduleSpec(**{"decay_epochs": 10, **spec})
    return [scheduled_rate(chosen, 0.8, epoch) for epoch in range(epochs)]


def test_the_formulas_of_the_three_kinds():
    assert rates(11, kind="cosine")[::5] == pytest.approx([0.8, 0.4, 0.0])
    assert rates(21, kind="exponential", factor=0.25)[::10] == pytest.approx([0.8, 0.2, 0.05])
    assert rates(21, kind="step", factor=0.5) == pytest.approx([0.8] * 10 + [0.4] * 10 + [0.2])


@pytest.mark.parametrize("kind", KINDS)
def test_the_warm_up_rises_linearly_to_the_highest_rate(kind):
    assert rates(4, kind=kind, warmup_epochs=3) == pytest.approx([0.2, 0.4, 0.6, 0.8])


@given(
    kind=some.sampled_from(KINDS),
    warmup=some.integers(0, 50),
    decay=some.integers(1, 200),
    lowest=some.floats(0, 0.5),
    factor=some.floats(0.01, 0.99),
)
def test_after_the_warm_up_the_rate_never_rises_and_stays_above_its_bound(kind, warmup, decay, lowest, factor):
    spec = {"kind": kind, "warmup_epochs": warmup, "decay_epochs": decay, "min_lr": lowest, "factor": factor}
    found = rates(300, **spec)[warmup:]
    assert all(after <= before or math.isclose(after, before) for before, after in pairwise(found))
    assert all(lowest <= one <= 0.8 or math.isclose(one, lowest) for one in found)


def test_a_schedule_with_something_left_open_is_no_schedule():
    with pytest.raises(ValueError, match="not been resolved"):
        scheduled_rate(LearningRateScheduleSpec(), 0.1, 0)
