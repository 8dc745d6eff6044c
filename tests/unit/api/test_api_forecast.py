"""The forecast over HTTP."""

import math

import pytest

from tests.unit.shared.histories import ended_at, epoch_event, posted_at, stopped, told, trained


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
    assert seen(client, job)["reason"] == "too few epochs have ended"
    over = trained(volume, [0.5] * 11)
    ended_at(over.attempts()[0], 9000, "finished", stopped("early_stopping", 11, 1, 1000))
    assert (seen(client, over)["stop"], seen(client, over)["reason"]) == (None, "the job is over")
    assert client.get("/jobs/job_unknown/forecast").status_code == 404


def test_without_early_stopping_it_ends_with_its_epochs(client, new_job):
    off = new_job(callbacks={"early_stopping": None})
    assert seen(client, off)["reason"] == "early stopping is off: it ends at epoch 4"


def test_a_job_that_was_just_posted_has_no_epochs(client, volume):
    assert seen(client, posted_at(volume))["epoch"] == 0
