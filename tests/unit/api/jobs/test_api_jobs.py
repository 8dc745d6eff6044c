"""Posting, listing and cancelling jobs."""

import json

from shared.job import AttemptEnd, Ending, JobError, Stop
from shared.times import utc_now
from tests.support.jobs import claim, put_job, small_spec


def end(attempt, **parts):
    attempt.close(AttemptEnd(ended_at=utc_now(), **{"outcome": "lost", **parts}))


def test_a_posted_job_is_answered_whole_and_is_on_the_volume(client, volume, grades):
    answer = client.post("/jobs", json=small_spec())
    shown = answer.json
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/jobs/{shown['id']}" == shown["urls"]["self"]
    assert shown == client.get(shown["urls"]["self"]).json
    assert (shown["status"], shown["queue_position"], shown["attempt"]) == ("queued", 1, 0)
    record = volume.job(shown["id"]).record()
    assert record.data_sha256 == grades.data_sha256
    assert [marker.job_id for marker in volume.open_jobs()] == [shown["id"]]


def test_the_spec_in_an_answer_can_be_posted_again(client, grades):
    first = client.post("/jobs", json=small_spec()).json
    second = client.post("/jobs", json=first["spec"])
    assert second.status_code == 202
    assert second.json["spec"] == first["spec"]


def test_a_job_is_taken_at_once_while_redis_is_away(client, grades):
    client.post("/jobs", json=small_spec())
    assert client.post("/jobs", json=small_spec()).status_code == 202


def test_jobs_are_listed_newest_first_page_by_page(client, new_job):
    ids = [new_job().id for _ in range(5)]
    first = client.get("/jobs?limit=2").json
    second = client.get(f"/jobs?limit=2&after={first['data'][-1]['id']}").json
    third = client.get(f"/jobs?limit=2&after={second['data'][-1]['id']}").json
    listed = [job["id"] for page in (first, second, third) for job in page["data"]]
    assert listed == sorted(ids, reverse=True)
    assert [page["has_more"] for page in (first, second, third)] == [True, True, False]


def test_a_list_can_be_narrowed_to_some_states(client, new_job):
    waiting, running = new_job(), new_job()
    claim(running)
    assert [job["id"] for job in client.get("/jobs?status=running").json["data"]] == [running.id]
    both = client.get("/jobs?status=running&status=queued").json["data"]
    assert {job["id"] for job in both} == {waiting.id, running.id}


def test_places_in_the_queue_follow_priority_and_then_age_and_count_only_who_waits(client, new_job):
    late, early, urgent, running = new_job(), new_job(), new_job(priority=0), new_job(priority=0)
    claim(running)
    places = {job["id"]: job["queue_position"] for job in client.get("/jobs").json["data"]}
    assert places == {running.id: None, urgent.id: 1, min(late.id, early.id): 2, max(late.id, early.id): 3}
    assert client.get(f"/jobs/{urgent.id}").json["queue_position"] == 1


def test_a_damaged_job_hides_no_other_one_and_is_a_500_of_its_own(client, new_job):
    whole, broken = new_job(), new_job()
    broken.spec_file.write_bytes(b'{"version": 1')
    assert [job["id"] for job in client.get("/jobs").json["data"]] == [whole.id]
    answer = client.get(f"/jobs/{broken.id}")
    assert (answer.status_code, answer.json["code"]) == (500, "damaged_record")
    assert "/" not in answer.json["detail"]
    [aside] = client.get("/jobs").json["set_aside"]
    assert (aside["id"], aside["code"], aside["message"]) == (broken.id, "damaged_record", answer.json["detail"])


def test_a_job_of_a_newer_version_is_a_503_and_named_in_the_list(client, new_job):
    whole, newer = new_job(), new_job()
    document = json.loads(newer.spec_file.read_bytes())
    newer.spec_file.write_text(json.dumps({**document, "format": 2}))
    answer = client.get(f"/jobs/{newer.id}")
    assert (answer.status_code, answer.json["code"]) == (503, "newer_format")
    assert int(answer.headers["Retry-After"]) > 0
    for query in ("", "?status=queued"):
        page = client.get(f"/jobs{query}").json
        assert [job["id"] for job in page["data"]] == [whole.id]
        assert [(one["id"], one["code"]) for one in page["set_aside"]] == [(newer.id, "newer_format")]


def test_what_the_state_does_not_rest_on_and_cannot_be_read_is_a_warning(client, job):
    attempt = claim(job)
    attempt.checkpoints.mkdir()
    for path in (attempt.manifest_file, job.plan_file):
        path.write_bytes(b"{")
    shown = client.get(f"/jobs/{job.id}").json
    assert (shown["status"], shown["engine"], shown["checkpoints"]["count"]) == ("running", None, 0)
    said = {warning.partition(" is damaged")[0] for warning in shown["warnings"]}
    assert {"attempts/1/checkpoints/manifest.json", "plan.json"} <= said


def test_cancelling_a_job_that_waits_ends_it_at_once_and_leaves_the_queue(client, volume, job):
    answer = client.post(f"/jobs/{job.id}/cancel")
    assert answer.status_code == 200
    shown = answer.json
    assert (shown["status"], shown["stop"]["reason"], shown["stop"]["epochs_not_run"]) == ("cancelled", "cancelled", 4)
    assert shown["cancel_requested_at"] is not None
    assert list(volume.open_jobs()) == []
    assert client.post(f"/jobs/{job.id}/cancel").json == shown


def test_cancelling_a_job_that_runs_leaves_its_ending_to_the_worker(client, job):
    claim(job)
    first = client.post(f"/jobs/{job.id}/cancel").json
    assert (first["status"], first["finished_at"]) == ("running", None)
    assert first["cancel_requested_at"] is not None
    assert job.result() is None
    assert client.post(f"/jobs/{job.id}/cancel").json == first


def test_a_job_that_waits_for_its_second_attempt_is_cancelled_at_once(client, job):
    end(claim(job))
    assert client.post(f"/jobs/{job.id}/cancel").json["status"] == "cancelled"


def test_a_job_that_has_ended_cannot_be_cancelled(client, job):
    end(claim(job), outcome="finished", ending=Ending(status="succeeded"))
    job.settle(Ending(status="succeeded", stop=Stop(reason="epochs_completed")), attempt=1)
    answer = client.post(f"/jobs/{job.id}/cancel")
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert job.cancel() is None


def test_attempts_that_were_lost_are_shown_with_their_reasons(client, job):
    error = JobError(code="gpu_out_of_memory", message="the device has 80 GB")
    end(claim(job, 1), outcome="failed", error=error, is_failure=True)
    end(claim(job, 2), outcome="handed_back")
    claim(job, 3)
    shown = client.get(f"/jobs/{job.id}").json
    assert (shown["status"], shown["attempt"], shown["max_failures"]) == ("running", 3, 3)
    told = [(one["attempt"], one["outcome"], one["code"], one["is_failure"]) for one in shown["failures"]]
    assert told == [(1, "failed", "gpu_out_of_memory", True), (2, "handed_back", None, False)]


def test_losses_and_failures_are_counted_apart_and_each_loss_names_its_worker(client, job):
    lost = JobError(code="worker_lost", message="gone")
    end(claim(job, 1), outcome="lost", error=lost, is_loss=True, has_progress=True)
    end(claim(job, 2), outcome="lost", error=lost, is_loss=True)
    end(claim(job, 3), outcome="failed", error=JobError(code="crash", message="SIGSEGV"), is_failure=True)
    end(claim(job, 4), outcome="handed_back")
    # As written before losses were distinguished from failures.
    end(claim(job, 5), outcome="lost", error=lost, is_failure=True)
    end(claim(job, 6), outcome="failed", error=JobError(code="killed", message="SIGKILL"), is_failure=True)
    claim(job, 7)
    shown = client.get(f"/jobs/{job.id}").json
    assert shown["attempts"] == {
        "total": 7, "lost": 4, "failed": 1, "handed_back": 1, "lost_in_a_row": 3, "failed_in_a_row": 1,
    }  # fmt: skip
    assert (shown["max_failures"], shown["max_losses"]) == (3, 10)
    told = [(one["is_loss"], one["is_failure"], one["worker"], one["host"]) for one in shown["failures"]]
    apart = [(True, False), (True, False), (False, True), (False, False), (True, False), (True, False)]
    assert told == [(*one, "tests", "here") for one in apart]
    limits = client.get("/limits").json["job"]
    assert (limits["failures"], limits["losses"]) == (3, 10)


def test_a_list_leaves_out_the_layers_of_a_keras_model(client, volume, grades):
    layers = [
        {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 4], "name": "in"}},
        {"module": "keras.layers", "class_name": "Dense", "config": {"name": "out", "units": 1}},
    ]
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "own", "layers": layers}}
    job = put_job(volume, {**small_spec(), "model": {"kind": "keras", "config": config}})
    put_job(volume, small_spec())
    plain, own = client.get("/jobs").json["data"]
    assert own["spec"]["model"] == {"kind": "keras", "config": {}, "weights": None}
    assert plain["spec"]["model"]["layers"] == [8]
    assert client.get(f"/jobs/{job.id}").json["spec"]["model"]["config"] == config
