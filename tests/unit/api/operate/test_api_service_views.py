"""GET /queue, /limits, /workers and /metrics."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.job import AttemptEnd, Ending
from shared.open_job import OpenJob
from shared.times import time_in, utc_now
from shared.worker_card import RunningAttempt, WorkerCard
from tests.support.jobs import claim


def show_worker(volume, name="w1", seen_at=None, **parts):
    facts = {
        "worker": name, "host": "gpu-1", "pid": 7, "device": "CPU", "slots": 2, "child_start": "forkserver",
        "ready": True, "draining": False, "running": (), "started_at": utc_now(), "seen_at": seen_at or utc_now(),
    }  # fmt: skip
    volume.show_worker(WorkerCard(**{**facts, **parts}))


def reasons(client):
    return [(one["position"], one["waits"]["reason"]) for one in client.get("/queue").json["data"]]


def busy(job):
    return {"ready": False, "slots": 1, "running": (RunningAttempt(job=job.id, attempt=1, slot=0),)}


def test_the_queue_is_in_the_order_in_which_it_is_served(client, new_job):
    late, urgent, running = new_job(), new_job(priority=0), new_job()
    claim(running)
    shown = client.get("/queue").json["data"]
    assert [(one["id"], one["priority"], one["position"]) for one in shown] == [(urgent.id, 0, 1), (late.id, 5, 2)]
    first = client.get("/queue?limit=1").json
    assert ([one["id"] for one in first["data"]], first["has_more"]) == ([urgent.id], True)
    second = client.get(f"/queue?limit=1&after={urgent.id}").json
    assert ([one["id"] for one in second["data"]], second["has_more"]) == ([late.id], False)


def test_each_job_says_why_it_waits(client, volume, new_job):
    running, *_ = new_job(), new_job(), new_job()
    claim(running)
    assert reasons(client) == [(1, "no_worker"), (2, "no_worker")]
    show_worker(volume, "gone", seen_at="2020-01-01T00:00:00.000Z")
    assert reasons(client) == [(1, "no_worker"), (2, "no_worker")]
    show_worker(volume, ready=False)
    assert reasons(client) == [(1, "starting"), (2, "starting")]
    show_worker(volume, ready=False, unfit="its GPU does not train")
    assert reasons(client) == [(1, "unfit"), (2, "unfit")]
    show_worker(volume, ready=False, draining=True)
    assert reasons(client) == [(1, "draining"), (2, "draining")]
    show_worker(volume, **busy(running))
    assert reasons(client) == [(1, "busy"), (2, "busy")]
    assert "jobs ahead: 1" in client.get("/queue").json["data"][1]["waits"]["detail"]
    show_worker(volume, slots=2, running=(RunningAttempt(job=running.id, attempt=1, slot=0),))
    assert reasons(client) == [(1, "next"), (2, "busy")]


def test_a_job_that_backs_off_says_until_when(client, volume, job):
    until = time_in(60)
    claim(job).close(AttemptEnd(outcome="failed", ended_at=utc_now(), is_failure=True, retry_at=until))
    [waiting] = client.get("/queue").json["data"]
    assert (waiting["waits"]["reason"], waiting["waits"]["until"]) == ("backoff", until)


def test_a_damaged_job_hides_no_other_one_in_the_queue(client, new_job):
    whole, broken = new_job(), new_job()
    broken.spec_file.write_bytes(b"{")
    assert [one["id"] for one in client.get("/queue").json["data"]] == [whole.id]


def test_the_limits_are_those_that_are_enforced(client, settings):
    limits = client.get("/limits").json
    assert limits["job"]["bytes"] == settings.max_job_bytes
    assert limits["dataset"]["columns"] == settings.max_dataset_columns
    assert limits["dataset"]["bytes"] == settings.max_dataset_bytes
    assert limits["dataset"]["image_dataset_bytes"] == limits["dataset"]["array_dataset_bytes"] == 50 * 1024**3
    assert limits["dataset"]["images"] == settings.max_dataset_images
    assert limits["dataset"]["image_bytes"] == settings.max_image_bytes
    assert limits["dataset"]["image_pixels"] == settings.max_image_pixels
    assert (
        client.post("/jobs", data=b"{" + b" " * limits["job"]["bytes"], content_type="application/json").status_code
        == 413
    )


def metrics(client):
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {(one.name, *sorted(one.labels.values())): one.value for family in families for one in family.samples}


def test_the_metrics_count_jobs_workers_and_requests(client, volume, new_job):
    waiting, running, over = new_job(), new_job(), new_job()
    claim(running)
    over.settle(Ending(status="failed"), attempt=None)
    volume.close_job(OpenJob(5, over.id))
    show_worker(volume, ready=False, **{k: v for k, v in busy(running).items() if k != "ready"})
    before = metrics(client)
    client.get(f"/jobs/{waiting.id}")
    client.get("/jobs/unknown")
    client.open("/nowhere", method="BREW")
    found = metrics(client)
    assert [found["fitstop_jobs", status] for status in ("queued", "running", "failed", "succeeded")] == [1, 1, 1, 0]
    assert (found["fitstop_workers", "busy"], found["fitstop_workers", "ready"]) == (1, 0)
    assert found["fitstop_redis_up",] == 0
    for labels in (("200", "/jobs/<job_id>", "GET"), ("404", "/jobs/<job_id>", "GET"), ("404", "none", "other")):
        key = ("fitstop_requests_total", *sorted(labels))
        assert found[key] == before.get(key, 0) + 1
    assert not any(waiting.id in " ".join(key) for key in found)


@pytest.mark.parametrize("path", ["/queue?x=1", "/limits?x=1", "/metrics?x=1", "/queue?after=x", "/queue?limit=0"])
def test_a_query_that_means_nothing_is_refused(client, path):
    assert client.get(path).status_code == 422
