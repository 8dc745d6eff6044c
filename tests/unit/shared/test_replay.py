"""Promises of the replay; tests/unit/worker/training compares it with Keras's own decisions."""

import math

import pytest

from shared.progress import LastImprovement
from shared.replay import Curve, best_value, monitored_values, patience_table, replay, smallest_patience
from shared.spec import EarlyStoppingSpec

RULE = EarlyStoppingSpec(monitor="val_accuracy", mode="max", min_delta=0.0)


def test_each_patience_stops_once_and_a_larger_one_never_sooner() -> None:
    past = replay([0.1, 0.1, 0.2, 0.2, 0.2, 0.2], RULE)
    assert [(stop.epoch, stop.last_improvement and stop.last_improvement.epoch) for stop in past.stops] == [
        (2, 1),
        (5, 3),
        (6, 3),
    ]
    assert past.stop(4) is None
    assert (past.wait, past.last_improvement) == (3, LastImprovement(epoch=3, value=0.2, min_delta=0.0))


def test_values_that_were_not_finite_improve_nothing() -> None:
    past = replay([None, None, 0.5, None], RULE)
    assert [stop.epoch for stop in past.stops] == [2, 2]
    assert past.last_improvement == LastImprovement(epoch=3, value=0.5, min_delta=0.0)


def test_a_curve_without_epochs_stops_nowhere() -> None:
    assert replay([], RULE).stops == ()


def test_the_best_model_counts_every_improvement() -> None:
    values = [None, 0.5, math.inf, 0.7, 0.6]
    assert (best_value(values, "max"), best_value(values, "min"), best_value([None], "max")) == (0.7, 0.5, None)


def test_a_metric_that_the_run_did_not_have_is_no_curve() -> None:
    assert monitored_values([{"loss": 1.0}, {"loss": None}], "loss") == [1.0, None]
    with pytest.raises(KeyError):
        monitored_values([{"loss": 1.0}, {}], "loss")


def curve(values: list[float | None], *, is_complete: bool = False) -> Curve:
    return Curve(values, [2.0] * len(values), RULE, is_complete, 3600.0, "EUR")


def test_the_table_counts_only_what_is_known() -> None:
    table = patience_table([curve([0.1, 0.1, 0.1]), curve([0.1, 0.1, 0.3], is_complete=True)], 3)
    assert [(row.jobs, row.unknown, row.jobs_worse) for row in table] == [(2, 0, 1), (2, 0, 0), (1, 1, 0)]
    assert [row.gpu_seconds_saved for row in table] == [4.0, 0.0, 0.0]
    assert table[0].saved == {"EUR": 4.0}
    assert table[0].most_lost == pytest.approx(0.2)
    assert (smallest_patience(table, 0.0), smallest_patience(table, 0.5)) == (2, 1)
    assert smallest_patience(table[2:], 0.0) is None
