"""The ledger of a job and its sums, as a client sees them."""

from dataclasses import replace

import pytest

from api import create_app
from shared.job_folder import JobFolder
from shared.ledger import PARTS
from shared.times import utc_now
from tests.support.keys import authorized
from tests.unit.shared.histories import claimed_at, ended_at, epoch_event, event, over_at, posted_at, stopped, told


def over(volume, posted=0, price=36.0, currency="EUR"):
    """Store a finished job: 2 s in the queue, 1 s start-up, 0.1 s learning, 2 x 0.1 s patience, 0.2 s saving."""
    job = posted_at(volume, posted, epochs=1000)
    attempt = claimed_at(job, 1, posted + 2000, price, currency)
    told(attempt, [event("model", posted + 3000)])
    told(attempt, [epoch_event(epoch, posted + 2950 + epoch * 150, 0.1, 1, val_accuracy=0.5) for epoch in (1, 2, 3)])
    ended_at(attempt, posted + 3500, "finished", stopped("early_stopping", 3, 1, 1000))
    return job


def test_a_job_shows_its_ledger(client, volume):
    ledger = client.get(f"/jobs/{over(volume).id}").json["ledger"]
    assert ledger["waiting_seconds"] == 2.0
    assert ledger["gpu_seconds"] == {
        "start_up": 1.0, "learning": 0.1, "patience": 0.2, "redone": 0.0, "saving": 0.2, "total": 1.5,
    }  # fmt: skip
    assert ledger["avoided"] == {"epochs": 997, "gpu_seconds": 99.7}
    [cost] = ledger["costs"]
    assert (cost["currency"], cost["learning"], cost["avoided"]) == ("EUR", 0.001, 0.997)
    assert cost["total"] == pytest.approx(sum(cost[name] for name in PARTS))
    assert ledger["median_epoch_seconds"] == 0.1


def test_a_job_that_waits_has_a_ledger_too(client, job):
    ledger = client.get(f"/jobs/{job.id}").json["ledger"]
    assert (ledger["gpu_seconds"]["total"], ledger["costs"]) == (0, [])
    assert ledger["waiting_seconds"] >= 0


def test_a_running_jobs_ledger_grows_with_its_events(client, volume):
    job = posted_at(volume)
    attempt = claimed_at(job, 1, 0)
    told(attempt, [epoch_event(1, 1000, 0.5)])
    first = client.get(f"/jobs/{job.id}").json["ledger"]
    told(attempt, [epoch_event(2, 2000, 0.5)])
    second = client.get(f"/jobs/{job.id}").json["ledger"]
    assert (first["gpu_seconds"]["saving"], second["gpu_seconds"]["saving"]) == (0.0, 0.5)


def test_the_etag_stays_while_the_files_do_and_lists_go_without_the_ledger(client, volume):
    job = posted_at(volume)
    attempt = claimed_at(job, 1, 0)
    told(attempt, [epoch_event(1, 1000, 0.5)])
    first, again = (client.get(f"/jobs/{job.id}") for _ in range(2))
    assert again.headers["ETag"] == first.headers["ETag"]
    assert client.get(f"/jobs/{job.id}", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    told(attempt, [event("checkpoint", 1500), epoch_event(2, 2000, 0.5)])
    assert client.get(f"/jobs/{job.id}").headers["ETag"] != first.headers["ETag"]
    assert "ledger" not in client.get("/jobs").json["data"][0]


def test_the_ledger_of_a_job_that_is_over_is_final_at_once(client, volume):
    job = posted_at(volume)
    attempt = claimed_at(job, 1, 0, 36.0, "EUR")
    told(attempt, [epoch_event(1, 1000, 0.5, 1)])
    assert client.get(f"/jobs/{job.id}").json["ledger"]["avoided"]["epochs"] == 0
    ended_at(attempt, 3000, "finished", stopped("early_stopping", 1, 1, 1000))
    ledger = client.get(f"/jobs/{job.id}").json["ledger"]
    assert (ledger["avoided"]["epochs"], ledger["gpu_seconds"]["total"]) == (999, 3.0)


DAY_MS = 24 * 3600 * 1000


def interrupted(volume, walls):
    """Store a job that is held for 5 s after 2 s in the queue, and claimed again 75 s later.

    `walls`: the hosts' clocks at each moment, in ms.
    """
    wall = iter(walls)
    job = posted_at(volume, 0, wall=next(wall), epochs=1000)
    first = claimed_at(job, 1, 2000, 36.0, "EUR", wall=next(wall))
    told(first, [replace(event("model", next(wall)), at=1.0), replace(epoch_event(1, next(wall), 0.5, 1), at=1.5)])
    ended_at(first, 77_000, "lost", wall=next(wall), held=5.0)
    second = claimed_at(job, 2, 82_000, 36.0, "EUR", wall=next(wall))
    at = 1.0
    told(second, [replace(event("model", next(wall), epoch=2, batch=0, from_attempt=1), at=at)])
    told(second, [replace(epoch_event(one, next(wall), 0.5, 1, val_accuracy=0.5), at=at + one / 2) for one in (2, 3)])
    return job


def test_wall_clocks_that_are_stepped_and_hosts_that_differ_by_a_day_change_nothing(client, volume):
    right = interrupted(volume, [0, 2000, 3000, 3500, 77_000, 82_000, 83_000, 83_500, 84_000])
    wild = interrupted(volume, [DAY_MS, 0, -DAY_MS, 7_200_000, 3 * DAY_MS, -DAY_MS, 7_200_000, 0, DAY_MS])
    shown = [client.get(f"/jobs/{job.id}").json["ledger"] for job in (right, wild)]
    assert shown[0] == shown[1]
    assert (shown[0]["waiting_seconds"], shown[0]["gpu_seconds"]["total"]) == (2.0 + 75.0, 5.0 + 2.5)
    foreseen = [client.get(f"/jobs/{job.id}/forecast").json | {"job": None} for job in (right, wild)]
    assert foreseen[0] == foreseen[1]


def usage(client, **query):
    return client.get("/usage", query_string={"from": "2026-11-01", "to": "2026-12-31", **query}).json


def test_usage_adds_up_what_ended_by_day(client, volume):
    over(volume)
    over(volume, 1000)
    over(volume, DAY_MS, 72.0, "USD")
    over_at(posted_at(volume), 5000, stopped("cancelled", 0, None, 1000, "cancelled"), None)
    posted_at(volume)
    found = usage(client)
    assert [(row["day"], row["jobs"]) for row in found["data"]] == [("2026-11-23", 3), ("2026-11-24", 1)]
    assert found["data"][0]["gpu_seconds"]["total"] == 3.0
    assert found["total"]["gpu_seconds"]["patience"] == pytest.approx(0.6)
    assert found["total"]["waiting_seconds"] == 11.0
    assert [(cost["currency"], cost["avoided"]) for cost in found["total"]["costs"]] == [("EUR", 1.994), ("USD", 1.994)]
    assert usage(client, **{"from": "2026-11-24"})["total"]["jobs"] == 1
    assert usage(client, to="2026-11-22", **{"from": "2026-11-01"})["data"] == []


def test_usage_by_dataset_and_by_worker(client, volume):
    over(volume)
    assert [(row["dataset"], row["jobs"]) for row in usage(client, by="dataset")["data"]] == [("wine", 1)]
    [row] = usage(client, by="worker")["data"]
    assert (row["worker"], row["gpu_seconds"]["total"]) == ("here", 1.5)


def test_usage_reads_a_finished_job_once(client, volume, monkeypatch):
    for start in (0, 1000, 2000):
        over(volume, start)
    first = usage(client)
    assert first["total"]["jobs"] == 3
    monkeypatch.setattr(JobFolder, "record", lambda _: pytest.fail("read again"))
    monkeypatch.setattr(JobFolder, "result", lambda _: pytest.fail("read again"))
    assert [usage(client), usage(client, by="dataset")["total"]] == [first, first["total"]]


def test_usage_keeps_what_deleted_jobs_cost(client, volume, settings):
    jobs = [over(volume, start, 36.0, "EUR") for start in (0, 1000, DAY_MS)]
    first = usage(client)
    for job in jobs:
        assert client.delete(f"/jobs/{job.id}").status_code == 204
    another_process = authorized(create_app(settings))
    for one in (client, another_process):
        assert usage(one) == first
        assert usage(one, project="other")["total"]["jobs"] == 0
        assert usage(one, **{"from": "2026-11-24"})["total"]["jobs"] == 1
    (volume.root / "past_jobs" / "2026-11-23" / f"{jobs[0].id}.json").write_text("{")
    assert usage(authorized(create_app(settings)))["total"]["jobs"] == 2


def test_usage_is_of_the_last_thirty_days_where_nothing_is_said(client):
    found = client.get("/usage").json
    assert found["to"] == utc_now()[:10]
    assert found["total"]["jobs"] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("by", "moon"),
        ("from", "yesterday"),
        ("to", "2026-13-01"),
        ("to", "20261123"),
        ("from", "0001-01-01"),
        ("x", "1"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(client, name, value):
    answer = client.get("/usage", query_string={name: value})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == f"#/query/{name}"


def test_a_damaged_job_is_left_out_of_the_usage(client, volume):
    over(volume)
    over(volume).result_file.write_text('{"finished_at": 1}')
    assert usage(client)["total"]["jobs"] == 1
