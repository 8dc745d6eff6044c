"""GET /page/rows: the table of jobs in few bytes and little time."""

import pytest

from api.page import rows
from api.page.spark import MOST_POINTS
from shared.events import Event
from shared.job import Ending, JobError, Stop
from shared.open_job import OpenJob
from tests.support.epochs import epoch, tell
from tests.support.jobs import claim, put_job, small_spec


def listed(client, query=""):
    answer = client.get(f"/page/rows{query}")
    assert answer.status_code == 200, answer.json
    return answer.json["data"]


@pytest.fixture
def running(new_job):
    job = new_job(hyperparameters={"epochs": 1000})
    attempt = claim(job)
    tell(attempt, *(epoch(number, 0.6 + 0.002 * number) for number in range(1, 21)))
    return job, attempt


def test_a_row_says_what_a_person_wants_to_see(client, running):
    job, _ = running
    [row] = listed(client)
    assert (row["id"], row["status"], row["epoch"], row["epochs"]) == (job.id, "running", 20, 1000)
    assert row["best"] == {"epoch": 20, "monitor": "val_accuracy", "value": 0.64}
    assert row["patience"] == {"wait": 0, "patience": 10, "stops_at_epoch": 30}
    assert row["spark"][:2] == [0.602, 0.604]
    assert row["forecast"]["epoch"] == 20
    stop = row["forecast"]["stop"]
    assert 20 < stop["p10"] <= stop["p50"] <= stop["p90"] <= 1000
    assert client.get(f"/jobs/{job.id}/forecast").json["stop"] == stop


def test_rows_follow_the_job_and_are_the_same_bytes_while_nothing_happens(client, running):
    _, attempt = running
    first = client.get("/page/rows")
    known = {"If-None-Match": first.headers["ETag"]}
    assert client.get("/page/rows", headers=known).status_code == 304
    tell(attempt, epoch(21, 0.64, wait=1))
    second = client.get("/page/rows", headers=known)
    assert second.status_code == 200
    [row] = second.json["data"]
    assert (row["epoch"], row["patience"]["wait"], row["forecast"]["epoch"]) == (21, 1, 21)


def test_a_job_goes_through_all_its_states(client, volume, new_job):
    job, other = new_job(), new_job()
    rows = {row["id"]: row for row in listed(client)}
    assert [(rows[one.id]["status"], rows[one.id]["queue_position"]) for one in (job, other)] == [
        ("queued", 1), ("queued", 2),
    ]  # fmt: skip
    claim(job)
    assert {row["id"]: row["status"] for row in listed(client)} == {job.id: "running", other.id: "queued"}
    job.request_cancel()
    assert [row["cancel_requested"] for row in listed(client)] == [False, True]
    job.settle(Ending(status="cancelled", stop=Stop(reason="cancelled", epochs_not_run=4)), attempt=1)
    other.settle(Ending(status="failed", error=JobError(code="out_of_memory", message="m")), attempt=None)
    for one in (job, other):
        volume.close_job(OpenJob(5, one.id))
    ended = {row["id"]: row for row in listed(client)}
    assert ended[job.id]["stop"] == {"reason": "cancelled", "epochs_not_run": 4}
    assert ended[other.id]["error"] == "out_of_memory"
    volume.remove_job(OpenJob(5, job.id))
    assert [row["id"] for row in listed(client)] == [other.id]


def test_rows_are_filtered_and_paged_as_jobs_are(client, new_job):
    jobs = [new_job(name=f"n{number % 2}", metadata={"team": "a" if number < 2 else "b"}) for number in range(4)]
    claim(jobs[3])
    for query in (
        "?status=running",
        "?status=queued",
        "?name=n1",
        "?metadata.team=a",
        "?status=queued&name=n0",
        "?limit=2",
    ):
        assert [row["id"] for row in listed(client, query)] == [
            one["id"] for one in client.get(f"/jobs{query}").json["data"]
        ], query
    page = client.get("/page/rows?limit=3").json
    assert page["has_more"]
    assert [row["id"] for row in listed(client, f"?after={page['data'][-1]['id']}")] == [jobs[0].id]
    for wrong in ("?limit=0", "?status=x", "?after=x", "?nothing=1"):
        assert client.get(f"/page/rows{wrong}").status_code == 422


def test_a_long_curve_is_shown_by_a_few_points_with_the_first_and_the_last(client, running):
    _, attempt = running
    tell(attempt, *(epoch(number, 0.001 * number) for number in range(21, 301)))
    [row] = listed(client)
    assert len(row["spark"]) == MOST_POINTS
    assert (row["spark"][0], row["spark"][-1]) == (0.602, 0.3)


def test_an_interrupted_job_has_one_unbroken_curve(client, new_job):
    from shared.job import AttemptEnd
    from shared.times import utc_now

    job = new_job(hyperparameters={"epochs": 1000})
    first = claim(job)
    tell(first, *(epoch(number, 0.1 * number) for number in range(1, 5)))
    first.close(AttemptEnd(outcome="handed_back", ended_at=utc_now()))
    second = claim(job, 2)
    tell(second, Event("model", "m", {"epoch": 4, "batch": 0, "from_attempt": 1}), epoch(4, 0.9), epoch(5, 1.0))
    [row] = listed(client)
    assert row["spark"] == [0.1, 0.2, 0.3, 0.9, 1.0]


def test_however_many_jobs_change_an_answer_renews_only_for_so_long(client, volume, new_job, monkeypatch):
    """The oldest row comes first, so that each is renewed in turn."""
    attempts = [claim(new_job(hyperparameters={"epochs": 1000})) for _ in range(4)]
    for attempt in attempts:
        tell(attempt, epoch(1, 0.5))
    listed(client)
    monkeypatch.setattr(rows, "READ_SECONDS", 0.0)
    for attempt in attempts:
        tell(attempt, epoch(2, 0.5))
    # Even without any time, each answer renews at least one row.
    seen = [sum(row["epoch"] == 2 for row in listed(client)) for _ in range(5)]
    assert seen == [1, 2, 3, 4, 4]


def test_a_damaged_job_hides_no_other(client, volume, new_job):
    good, bad = new_job(), new_job()
    bad.spec_file.write_bytes(b"{")
    assert [row["id"] for row in listed(client)] == [good.id]


def test_usage_is_summed_by_the_key_that_posted(client, app, volume, grades):
    key = client.post("/keys", json={"name": "ci"}).json
    posted = app.test_client().post("/jobs", json=small_spec(), headers={"Authorization": f"Bearer {key['key']}"}).json
    old = put_job(volume, small_spec())
    for job_id in (posted["id"], old.id):
        volume.job_folder(job_id).settle(Ending(status="cancelled", stop=Stop(reason="cancelled")), attempt=None)
        volume.close_job(OpenJob(5, job_id))
    assert [(row["key"], row["jobs"]) for row in client.get("/usage?by=key").json["data"]] == [
        ("(unknown)", 1), (key["id"], 1),
    ]  # fmt: skip


def test_a_row_has_the_values_of_the_columns_that_are_asked_for(client, running):
    _, attempt = running
    assert listed(client)[0]["values"] == {}
    query = "?column=hyperparameters.batch_size&column=metrics.val_accuracy&column=metadata.team&column=model.kind"
    assert listed(client, query)[0]["values"] == {
        "hyperparameters.batch_size": 32, "metrics.val_accuracy": 0.64, "model.kind": "dense",
    }  # fmt: skip
    tell(attempt, epoch(21, 0.7))
    assert listed(client, query)[0]["values"]["metrics.val_accuracy"] == 0.7
    every = listed(client, "?column=*")[0]["values"]
    assert {"callbacks.early_stopping.patience", "hyperparameters.learning_rate", "dataset.target"} <= set(every)
    assert all(not isinstance(one, list | dict) for one in every.values())
    assert client.get("/page/rows?column=secret").status_code == 422


def test_tags_are_shown_also_of_a_job_that_has_ended(client, volume, job):
    job.settle(Ending(status="cancelled"), None)
    volume.close_job(OpenJob(5, job.id))
    assert listed(client)[0]["tags"] == []
    client.patch(f"/jobs/{job.id}", json={"tags": ["a", "b"]})
    assert listed(client)[0]["tags"] == ["a", "b"]
    assert [row["id"] for row in listed(client, "?tag=b&status=cancelled")] == [job.id]
    assert listed(client, "?tag=c") == []
