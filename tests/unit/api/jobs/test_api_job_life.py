"""Dry runs, retries, and deleting jobs and datasets."""

import os
import shutil

import pytest

import shared.volume
from shared.job import Ending
from shared.open_job import OpenJob
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, small_spec

pytestmark = pytest.mark.both_stores


def finish(volume, job, status):
    job.settle(Ending(status=status), attempt=None)
    volume.close_job(OpenJob(5, job.id))


def everything(volume):
    return sorted(str(path.relative_to(volume.root)) for path in volume.root.rglob("*"))


def test_a_dry_run_answers_what_would_run_and_stores_nothing(client, volume, grades):
    before = everything(volume)
    answer = client.post("/jobs?dry_run=true", json=small_spec())
    assert (answer.status_code, answer.json["object"]) == (200, "dry_run")
    assert (answer.json["task"]["features"], answer.json["task"]["parameters"]) == (4, 49)
    assert everything(volume) == before
    posted = client.post("/jobs?dry_run=false", json=small_spec())
    assert posted.status_code == 202
    for part in ("spec", "task", "warnings"):
        assert posted.json[part] == answer.json[part]


def test_a_dry_run_finds_everything_that_a_post_would_find(client, grades):
    wrong = small_spec(hyperparameters={"batch_size": 0}, dataset={"target": 5})
    dry, real = client.post("/jobs?dry_run=true", json=wrong), client.post("/jobs", json=wrong)
    assert dry.status_code == real.status_code == 422
    assert dry.json["errors"] == real.json["errors"]
    assert client.post("/jobs?dry_run=yes", json=small_spec()).status_code == 422


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_job_is_tried_anew_with_the_same_spec_and_says_of_which_it_is(client, volume, job, status):
    finish(volume, job, status)
    answer = client.post(f"/jobs/{job.id}/retry")
    assert (answer.status_code, answer.json["status"], answer.json["retry_of"]) == (202, "queued", job.id)
    assert answer.headers["Location"] == f"/jobs/{answer.json['id']}"
    first = client.get(f"/jobs/{job.id}").json
    assert (first["status"], first["retry_of"]) == (status, None)
    assert answer.json["spec"] == first["spec"]
    assert answer.json["id"] != job.id


def test_a_job_that_goes_on_or_has_succeeded_is_not_tried_anew(client, volume, new_job):
    waiting, running, over = new_job(), new_job(), new_job()
    claim(running)
    finish(volume, over, "succeeded")
    for job in (waiting, running, over):
        assert client.post(f"/jobs/{job.id}/retry").status_code == 409


def test_a_job_whose_data_is_gone_or_other_data_is_not_tried_anew(client, volume, job):
    finish(volume, job, "failed")
    shutil.rmtree(volume.dataset_folder("grades"))
    assert client.post(f"/jobs/{job.id}/retry").json["code"] == "unknown_dataset"
    put_dataset(volume, learnable_frame(seed=2))
    assert client.post(f"/jobs/{job.id}/retry").status_code == 409
    assert len(volume.job_ids()) == 1


def test_a_job_that_is_over_is_deleted_and_nothing_of_it_stays_but_what_it_cost(client, volume, new_job):
    before = everything(volume)
    job = new_job()
    claim(job)
    finish(volume, job, "succeeded")
    answer = client.delete(f"/jobs/{job.id}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert client.get(f"/jobs/{job.id}").status_code == 404
    assert client.delete(f"/jobs/{job.id}").status_code == 404
    assert client.get("/jobs").json["data"] == []
    cost = next(volume.root.glob(f"past_jobs/*/{job.id}.json")).relative_to(volume.root)
    left = {f"jobs/{job.id[-2:]}", f"deleted/{job.id}", "past_jobs", str(cost.parent), str(cost)}
    assert set(everything(volume)) - set(before) == left


def test_a_post_that_is_repeated_after_its_job_was_deleted_makes_no_job(client, volume, grades):
    again = {"json": small_spec(), "headers": {"Idempotency-Key": "the-one"}}
    job = volume.job(client.post("/jobs", **again).json["id"])
    finish(volume, job, "succeeded")
    assert client.delete(f"/jobs/{job.id}").status_code == 204
    assert client.post("/jobs", **again).status_code == 409
    assert volume.job_ids() == []


def test_a_retry_that_is_repeated_makes_one_job(client, volume, job):
    finish(volume, job, "failed")
    ids = {client.post(f"/jobs/{job.id}/retry", headers={"Idempotency-Key": "k"}).json["id"] for _ in range(3)}
    assert len(ids) == 1


def test_a_job_that_is_not_over_is_not_deleted(client, new_job):
    waiting, running = new_job(), new_job()
    claim(running)
    for job, status in ((waiting, "queued"), (running, "running")):
        answer = client.delete(f"/jobs/{job.id}")
        assert (answer.status_code, status in answer.json["detail"]) == (409, True)
        assert job.spec_file.exists()


@pytest.mark.parametrize("killed_at", ["unlink", "rename", "remove_tree"])
def test_a_delete_that_is_killed_leaves_a_whole_job_or_none(client, volume, job, monkeypatch, killed_at):
    """Killed at each step: removing the marker, moving the folder, removing the moved folder."""
    finish(volume, job, "succeeded")
    volume.open.joinpath(OpenJob(5, job.id).name).touch()

    def killed(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr({"unlink": os, "rename": os, "remove_tree": shared.volume}[killed_at], killed_at, killed)
        with pytest.raises(KeyboardInterrupt):
            volume.remove_job(OpenJob(5, job.id))
    after = Volume(volume.root)
    if killed_at == "remove_tree":
        assert after.job(job.id) is None
        assert any(grave.is_dir() for grave in after.deleted.iterdir())
        after.remove_leftovers()
    else:
        assert after.job(job.id).state().status == "succeeded"
        assert client.delete(f"/jobs/{job.id}").status_code == 204
    assert not any(grave.is_dir() for grave in after.deleted.iterdir())
    assert after.job_ids() == list(after.open_jobs()) == []


def test_a_file_that_is_being_read_is_read_to_its_end_after_the_delete(client, volume, job):
    attempt = claim(job)
    attempt.training_log.write_bytes(b"epoch,loss\n" * 1000)
    finish(volume, job, "succeeded")
    with attempt.training_log.open("rb") as file:
        file.read(10)
        assert client.delete(f"/jobs/{job.id}").status_code == 204
        assert len(file.read()) == 11 * 1000 - 10


def test_a_job_that_is_deleted_while_it_is_claimed_is_not_started(volume, job, monkeypatch):
    from shared.job_folder import JobFolder
    from worker.supervisor.claim import Owner, claim_next

    take = JobFolder.take

    def take_late(folder, wanted):
        folder.request_cancel()
        finish(volume, folder, "cancelled")
        volume.remove_job(OpenJob(5, folder.id))
        return take(folder, wanted)

    monkeypatch.setattr(JobFolder, "take", take_late)
    assert claim_next(volume, Owner("w", "here", 1, 0, "CPU")) is None
    assert volume.job(job.id) is None


def test_a_dataset_is_deleted_only_when_no_unfinished_job_uses_it(client, volume, job):
    answer = client.delete("/datasets/grades")
    assert (answer.status_code, job.id in answer.json["detail"]) == (409, True)
    assert client.get("/datasets/grades").status_code == 200
    finish(volume, job, "succeeded")
    assert client.delete("/datasets/grades").status_code == 204
    assert client.get("/datasets/grades").status_code == 404
    assert client.delete("/datasets/grades").status_code == 404
    assert client.get(f"/jobs/{job.id}").status_code == 200
    assert client.delete("/datasets/..%2fjobs").status_code == 404
