"""The task that follows from a target."""

from typing import get_args

import pytest

from shared.spec import Loss, Metric
from shared.task import (
    DEFAULT_METRICS,
    LOSSES,
    METRICS,
    MOST_INFERRED_CLASSES,
    TaskKind,
    better_mode,
    log_names,
    task_of_column,
    task_of_loss,
)
from tests.unit.shared.records import listed, numbers


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (listed("t", {0: 1, 1: 1}), "binary"),
        (listed("t", {0.5: 1, 7.25: 1}, kind="float"), "binary"),
        (listed("t", {"a": 1, "b": 1}, kind="text"), "binary"),
        (listed("t", {False: 1, True: 1}, kind="boolean"), "binary"),
        (listed("t", {"a": 1, "b": 1, "c": 1}, kind="text"), "multiclass"),
        (numbers("t", 3, kind="integer"), "multiclass"),
        (listed("t", {1.0: 1, 2.0: 1, 3.0: 1}, kind="float"), "multiclass"),
        (numbers("t", MOST_INFERRED_CLASSES, kind="integer"), "multiclass"),
        (numbers("t", MOST_INFERRED_CLASSES + 1, kind="integer"), "regression"),
        (numbers("t", 3, kind="float"), "regression"),
        (numbers("t", 200, kind="integer"), "regression"),
        (listed("t", {str(one): 1 for one in range(200)}, kind="text"), "multiclass"),
    ],
    ids=lambda value: f"{value.kind}-{value.distinct}" if hasattr(value, "kind") else value,
)
def test_a_target_suggests_its_task(column, kind):
    assert task_of_column(column) == kind


def test_every_loss_belongs_to_one_task_and_auto_to_none():
    for loss in get_args(Loss):
        kinds = [kind for kind, losses in LOSSES.items() if loss in losses]
        assert kinds == ([] if loss == "auto" else [task_of_loss(loss)])
    assert task_of_loss("auto") is None


def test_every_metric_fits_some_task_and_the_defaults_fit_theirs():
    assert {metric for metrics in METRICS.values() for metric in metrics} == set(get_args(Metric))
    for kind in get_args(TaskKind):
        assert set(DEFAULT_METRICS[kind]) <= set(METRICS[kind])


def test_the_logs_have_the_loss_and_the_metrics_for_both_parts():
    assert log_names(("accuracy", "auc")) == ("loss", "accuracy", "auc", "val_loss", "val_accuracy", "val_auc")


@pytest.mark.parametrize("metric", get_args(Metric))
def test_every_name_of_the_logs_has_one_better_direction_the_same_in_both_parts(metric):
    best = "min" if metric in {"mae", "mse", "rmse"} else "max"
    assert better_mode(metric) == better_mode(f"val_{metric}") == best


@pytest.mark.parametrize("name", ["", "val_", "acc", "val_acuracy", "learning_rate", "val_val_loss", "auto"])
def test_what_is_no_name_of_the_logs_has_no_direction(name):
    with pytest.raises(ValueError, match="not a column of the training log"):
        better_mode(name)


def test_less_loss_is_better():
    assert better_mode("loss") == better_mode("val_loss") == "min"
