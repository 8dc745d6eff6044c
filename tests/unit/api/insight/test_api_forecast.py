"""The forecast over HTTP."""

import math
from dataclasses import replace

import pytest

from shared.times import time_in
from tests.unit.shared.histories import claimed_at, ended_at, epoch_event, event, posted_at, stopped, told, trained
from tests.unit.shared.records import record, spec


def seen(client, job):
    return client.get(f"/jobs/{job.id}/forecast").json


def test_a_running_job_says_where_it_will_stop_and_what_that_takes(client, volume):
    curve = [1 - math.exp(-epoch / 5) for epoch in range(20)]
    found = seen(client, trained(volume, curve, seconds=2.0))
    stop, left = found["stop"], found["seconds_left"]
    assert (found["epoch"], found["epochs"], found["reason"]) == (20, 1000, None)
    assert 30 <= stop["p10"] <= stop["p50"] <= stop["p90"] <= 1000
    assert left["p50"] == pytest.approx((stop["p50"] - 20) * 2.0)
    [cost] = found["costs_left"]
    assert (cost["currency"], cost["p90"]) == ("EUR", pytest.approx((stop["p90"] - 20) * 2.0 * 3.6 / 3600))
    assert 0 < found["chance_of_better"] <= 1


def test_it_is_made_anew_when_an_epoch_has_ended(client, volume):
    job = trained(volume, [0.5, 0.6, 0.7, 0.8])
    first = seen(client, job)
    assert seen(client, job) == first
    told(job.attempts()[0], [epoch_event(5, 2000, 0.1, val_accuracy=0.1)])
    assert seen(client, job)["epoch"] == 5


def test_where_there_is_none_the_reason_is_said(client, volume, job):
    assert seen(client, job)["reason"] == "too few epochs have finished"
    over = trained(volume, [0.5] * 11)
    ended_at(over.attempts()[0], 9000, "finished", stopped("early_stopping", 11, 1, 1000))
    assert (seen(client, over)["stop"], seen(client, over)["reason"]) == (None, "the job has finished")
    assert client.get("/jobs/job_unknown/forecast").status_code == 404


def test_without_early_stopping_it_ends_with_its_epochs(client, new_job):
    off = new_job(callbacks={"early_stopping": None})
    assert seen(client, off)["reason"] == "early stopping is off: it ends at epoch 4"


def with_budget(volume, budget, **callbacks):
    """Store a job that was claimed at 0, costs 3.6 EUR per hour, and has finished 20 epochs of 2 s by second 41."""
    parts = {"hyperparameters": {"epochs": 1000}, "budget": budget, "callbacks": callbacks}
    job = volume.store_job(record(document={**spec(), **parts}))
    rows = [epoch_event(epoch, 1000 + 2000 * epoch, 2.0, val_accuracy=0.01 * epoch) for epoch in range(1, 21)]
    told(claimed_at(job, 1, 0, 3.6, "EUR"), rows)
    return job


@pytest.mark.parametrize(
    ("budget", "last"), [({"max_gpu_seconds": 61}, 30), ({"max_cost": 0.0515}, 25), ({"max_gpu_seconds": 42}, 21)]
)
def test_no_later_end_is_foreseen_than_the_budget_pays_for(client, volume, budget, last):
    stop = seen(client, with_budget(volume, budget))["stop"]
    assert stop == {"p10": last, "p50": last, "p90": last}, "it would get better for hundreds of epochs"


def test_a_budget_that_is_large_enough_changes_nothing(client, volume):
    free = with_budget(volume, None)
    assert seen(client, with_budget(volume, {"max_gpu_seconds": 1e6}))["stop"] == seen(client, free)["stop"]
    assert seen(client, with_budget(volume, {"deadline": time_in(1e6)}))["stop"] == seen(client, free)["stop"]


def test_without_early_stopping_the_budget_is_told_as_the_end(client, volume):
    job = with_budget(volume, {"max_gpu_seconds": 61}, early_stopping=None)
    assert seen(client, job)["reason"] == "early stopping is off: its budget ends it near epoch 30"


def test_the_pace_of_a_job_that_is_interrupted_in_each_epoch_is_that_of_its_epochs(client, volume):
    parts = {"hyperparameters": {"epochs": 1000}, "budget": {"max_gpu_seconds": 61}}
    job = volume.store_job(record(document={**spec(), **parts, "callbacks": {"early_stopping": None}}))
    for number in range(1, 5):
        attempt = claimed_at(job, number, 0)
        place = {"epoch": number, "batch": 0, "from_attempt": number - 1} if number > 1 else {}
        told(attempt, [replace(event("model", 0, **place), at=1.0), replace(epoch_event(number, 0, 2.0), at=3.0)])
        ended_at(attempt, 0, "lost", held=3.0)
    assert seen(client, job)["reason"] == "early stopping is off: its budget ends it near epoch 28"


def test_a_job_that_was_just_posted_has_no_epochs(client, volume):
    assert seen(client, posted_at(volume))["epoch"] == 0
