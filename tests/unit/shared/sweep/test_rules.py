"""Which trials cannot win, by each rule, and how a past sweep would have gone under another rule."""

from dataclasses import replace
from typing import Any

import pytest

from bench.sweeps import FOLDER, draw_sweeps
from shared.sweep.replay import replay_sweep
from shared.sweep.rules import judge
from shared.sweep.spec import Objective, StoppingRule, SweepSpec
from shared.sweep.trial import Trial
from shared.validation import validate
from tests.support.sweeps import SPACE, trial


def spec(name: str, parallel: int = 1, **rule: Any) -> SweepSpec:
    document = {"job": {}, "space": SPACE, "parallel": parallel, "rule": {"name": name, **rule}}
    sweep = validate(SweepSpec, document)
    return sweep.model_copy(update={"objective": Objective(monitor="val_accuracy", mode="max")})


def finished(*bests: float, epochs: int = 30) -> list[Trial]:
    """Return trials that approach their best value with each epoch."""
    return [trial(n, *(best * (1 - 0.5**e) for e in range(1, epochs + 1))) for n, best in enumerate(bests, start=1)]


def running(*curve: float | None) -> Trial:
    return trial(9, *curve, status="running")


@pytest.mark.parametrize("name", ["forecast", "asha", "median"])
def test_no_trial_is_stopped_before_enough_epochs_and_enough_finished_trials(name: str) -> None:
    bad = running(*[0.01] * 4)
    others = finished(0.9, 0.8, 0.7, 0.6)
    assert judge(spec(name, min_epochs=5), bad, [*others, bad]) is None
    longer = running(*[0.01] * 5)
    assert judge(spec(name, min_epochs=5), longer, [*others[:3], longer]) is None
    assert judge(spec(name, min_epochs=5), longer, [*others, longer]) is not None
    assert judge(spec("none"), longer, [*others, longer]) is None


def test_the_median_rule_compares_with_the_other_trials_after_as_many_epochs() -> None:
    others = finished(0.9, 0.8, 0.7, 0.6)
    found = judge(spec("median"), running(*[0.7] * 5), [*others])
    assert found is not None
    assert found.to_beat == pytest.approx(0.75 * (1 - 0.5**5))
    assert (found.epoch, found.value, found.trials) == (5, 0.7, 4)
    assert judge(spec("median"), running(*[0.74] * 5), [*others]) is None


def test_asha_keeps_one_of_three_at_each_rung() -> None:
    others = finished(0.9, 0.8, 0.7, 0.6, 0.5)
    rule = spec("asha", min_epochs=3, reduction_factor=3)
    kept, stopped = running(*[0.71] * 3), running(*[0.69] * 3)
    assert judge(rule, kept, others) is None
    found = judge(rule, stopped, others)
    assert found is not None
    assert (found.epoch, found.to_beat, found.trials) == (3, pytest.approx(0.8 * 0.875), 5)
    assert judge(rule, running(*[0.71] * 9), others) is not None, "the rung after 9 epochs"


def test_the_forecast_stops_a_flat_curve_far_below_the_best_and_keeps_a_rising_one() -> None:
    others = finished(0.9, 0.8, 0.7, 0.6)
    found = judge(spec("forecast"), running(0.2, 0.4, *[0.41] * 9), others)
    assert found is not None
    assert found.chance is not None
    assert found.best_trial == 1
    assert found.chance < 0.1
    assert judge(spec("forecast"), running(0.1, 0.25, 0.4, 0.55, 0.7), others) is None
    assert judge(spec("forecast"), running(*[0.95] * 9), others) is None, "the best of all"


def test_the_forecast_asks_for_a_higher_chance_of_a_trial_that_is_worse_than_the_median() -> None:
    others = finished(0.9, 0.8, 0.7, 0.6)
    behind, ahead = running(0.2, 0.3, 0.4, 0.5, 0.6), running(0.4, 0.6, 0.7, 0.74, *[0.76] * 7)
    found = judge(spec("forecast"), behind, others)
    assert found is not None
    assert found.chance is not None
    assert (found.min_chance, found.chance > 0.1) == (0.7, True)
    assert judge(spec("median"), behind, others) is not None
    assert judge(spec("median"), ahead, others) is None
    found = judge(spec("forecast"), ahead, others)
    assert found is not None
    assert found.min_chance == 0.1
    assert judge(spec("forecast", min_chance=0.01), ahead, others) is None


def test_a_replay_frees_the_place_of_what_it_stops_and_says_what_that_saved() -> None:
    trials = finished(0.9, 0.8, 0.7, 0.6, 0.3, epochs=20)
    whole = replay_sweep(spec("none"), trials, StoppingRule(name="none"))
    assert (whole.seconds, whole.seconds_saved, whole.duration, whole.winner) == (100, 0, 100, 1)
    found = replay_sweep(spec("none", parallel=2), trials, StoppingRule(name="median", min_epochs=4))
    assert (found.stopped, found.seconds_saved, found.is_winner_lost) == ((5,), 16, False)
    assert found.duration == 44
    on_two = [replace(one, devices=2) for one in trials]
    doubled = replay_sweep(spec("none", parallel=2), on_two, StoppingRule(name="median", min_epochs=4))
    assert (doubled.seconds, doubled.seconds_saved, doubled.duration) == (200, 32, 44)


def test_a_replay_says_that_the_winner_would_have_been_lost() -> None:
    late = trial(5, *[0.1] * 10, *[0.99] * 10)
    trials = [*finished(0.9, 0.8, 0.7, 0.6, epochs=20), late]
    found = replay_sweep(spec("none"), trials, StoppingRule(name="median"))
    assert (found.winner, found.winner_then, found.is_winner_lost) == (5, 1, True)
    assert found.lost == pytest.approx(0.09, abs=0.001)


def test_on_recorded_trials_the_forecast_saves_compute_and_loses_no_winner() -> None:
    saved, whole = 0.0, 0.0
    for path in (FOLDER / "digits.csv", FOLDER / "classification.csv"):
        for sweep, trials in draw_sweeps(path, 1):
            found = replay_sweep(sweep, trials, StoppingRule(name="forecast"))
            assert not found.is_winner_lost
            saved, whole = saved + found.seconds_saved, whole + found.seconds
    assert saved > 0.2 * whole
