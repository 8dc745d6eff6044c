"""Sentences that explain why a job waits, runs or stopped."""

import pytest

from shared.job import AttemptEnd, BudgetUsed, Ending, JobError, Stop
from shared.progress import Best, LastImprovement
from shared.times import time_in, utc_now
from shared.worker_card import RunningAttempt, WorkerCard
from tests.support.jobs import claim, small_spec
from tests.unit.api.jobs.test_api_report import epoch_event, write_events


def said(client, job):
    answer = client.get(f"/jobs/{job.id}/explain").json
    assert answer["text"] == " ".join(answer["sentences"])
    return answer["sentences"]


def card(ready=False, draining=False, running=(), unfit="", name="w", slot_devices=1, **slots):
    return WorkerCard(
        worker=name, host="here", pid=1, device="CPU", **{"slots": 1, "slot_devices": slot_devices, **slots},
        child_start="forkserver", ready=ready, draining=draining,
        unfit=unfit, running=running, started_at=utc_now(), seen_at=utc_now(),
    )  # fmt: skip


def test_a_job_that_waits_says_who_is_before_it_and_what_the_workers_do(client, volume, new_job):
    first, second = new_job(), new_job()
    assert said(client, first) == ["It is next in the queue.", "No worker is available."]
    volume.show_worker(card(running=(RunningAttempt(job=first.id, attempt=1, slot=0),)))
    assert said(client, second) == [
        "It waits as number 2 in the queue: 1 job is ahead of it.",
        "The only slot is busy.",
    ]
    volume.show_worker(card(ready=True))
    assert said(client, first)[-1] == "A worker is ready and will start it in a moment."
    volume.show_worker(card(unfit="its GPU does not train"))
    assert said(client, first)[-1] == "No worker can take it: its GPU does not train."
    volume.show_worker(card(draining=True))
    assert "claim no new jobs" in said(client, first)[-1]


def test_a_job_that_is_queued_again_says_why(client, job):
    attempt = claim(job)
    error = JobError(code="worker_lost", message="no heartbeat of its worker for 30 s")
    retry_at = time_in(60)
    attempt.close(AttemptEnd(outcome="lost", ended_at=utc_now(), error=error, is_failure=True, retry_at=retry_at))
    assert said(client, job)[:2] == [
        "Attempt 1 was lost: no heartbeat of its worker for 30 s; the next one continues from the last resume point.",
        f"The next attempt starts at {retry_at} or later.",
    ]


def test_a_job_in_back_off_says_one_thing_about_when_it_runs(client, volume, job):
    error = JobError(code="crash", message="the training process crashed (SIGSEGV)")
    end = AttemptEnd(outcome="failed", ended_at=utc_now(), error=error, is_failure=True, retry_at=time_in(60))
    claim(job).close(end)
    volume.show_worker(card(ready=True))
    text = " ".join(said(client, job))
    assert "or later" in text
    assert "in a moment" not in text
    assert "next in the queue" not in text


def test_a_back_off_of_a_clock_that_is_wrong_is_waited_for_by_nobody_and_not_named(client, volume, job):
    retry_at = time_in(86_400)
    claim(job).close(AttemptEnd(outcome="failed", ended_at=utc_now(), is_failure=True, retry_at=retry_at))
    volume.show_worker(card(ready=True))
    text = " ".join(said(client, job))
    assert "or later" not in text
    assert "in a moment" in text


def patience(wait=4, stops_at=30, epoch=20, value=0.7851):
    last = None if value is None else {"epoch": epoch, "value": value, "min_delta": 0.001}
    return {
        "monitor": "val_accuracy", "wait": wait, "patience": 10, "stops_at_epoch": stops_at,
        "last_improvement": last,
    }  # fmt: skip


def running(new_job, epoch=24, stopping=None, **parts):
    job = new_job(hyperparameters={"epochs": 1000}, **parts)
    plateau = {"wait": 4, "patience": 10}
    write_events(claim(job), epoch_event(epoch, epochs=1000, early_stopping=stopping, reduce_lr=plateau))
    return job


def test_a_running_job_says_what_would_stop_it(client, new_job):
    assert said(client, running(new_job, stopping=patience())) == [
        "val_accuracy last improved at epoch 20, 4 epochs ago; it stops at epoch 30 unless it rises above 0.7861.",
        "The learning rate is 0.001 and drops after 6 epochs more without a better value.",
    ]


def test_what_is_better_when_it_is_less_has_to_fall(client, new_job):
    stopping = {**patience(value=0.5), "monitor": "val_loss"}
    job = running(new_job, stopping=stopping, callbacks={"early_stopping": {"monitor": "val_loss", "mode": "min"}})
    assert "unless it falls below 0.4990." in said(client, job)[0]


@pytest.mark.parametrize(
    ("stopping", "sentence"),
    [
        (patience(stops_at=1000), "it may continue to epoch 1000, its maximum."),
        (
            patience(value=None),
            "val_accuracy has had no finite value so far; otherwise it stops at",
        ),
        (patience(wait=0, epoch=24), "val_accuracy last improved at epoch 24, this epoch;"),
    ],
)
def test_a_running_job_near_its_end_or_without_a_value(client, new_job, stopping, sentence):
    assert sentence in said(client, running(new_job, stopping=stopping))[0]


def test_early_stopping_that_is_off_or_has_not_begun(client, new_job):
    off = running(new_job, callbacks={"early_stopping": None})
    assert said(client, off)[0] == "Early stopping is off: the job runs to epoch 1000 and is at 24."
    later = running(new_job, stopping=patience(), callbacks={"early_stopping": {"start_from_epoch": 50}})
    assert said(client, later)[0] == "Early stopping monitors val_accuracy from epoch 51 on; this is epoch 24."


def test_a_budget_is_told_while_a_job_waits_and_while_it_runs(client, new_job):
    waits = new_job(budget={"max_gpu_seconds": 5})
    assert said(client, waits)[-1] == "It stops at its budget: 5 seconds of compute time."
    runs = running(new_job, stopping=patience(), budget={"max_gpu_seconds": 90, "max_cost": 2.5})
    assert said(client, runs)[-1] == "It stops at its budget: 90 seconds of compute time, or a cost of 2.5."
    assert not any("budget" in sentence for sentence in said(client, running(new_job, stopping=patience())))


def test_a_job_that_has_just_begun_and_one_that_was_asked_to_stop(client, job):
    claim(job)
    assert said(client, job) == ["It has started on here, and no epoch has finished yet."]
    job.request_cancel()
    assert "Cancellation was requested" in said(client, job)[0]


EARLY = (
    "It stopped at epoch 30: val_accuracy did not improve by more than 0.001 for 10 epochs, its patience. "
    "Its last improvement was 0.7850 at epoch 20."
)
BEST = "The best model is from epoch 27: val_accuracy 0.7853."
DEADLINE = "2026-11-23T12:00:00.000Z"
STOPPED = {
    "monitor": "val_accuracy", "wait": 10, "patience": 10,
    "best": Best(epoch=27, monitor="val_accuracy", value=0.7853),
    "last_improvement": LastImprovement(epoch=20, value=0.785, min_delta=0.001),
}  # fmt: skip


@pytest.mark.parametrize(
    ("ending", "sentences"),
    [
        (
            Ending(
                status="succeeded", stop=Stop(reason="early_stopping", last_epoch=30, epochs_not_run=970, **STOPPED)
            ),
            [
                EARLY,
                BEST,
                "970 of the 1000 maximum epochs were not run.",
            ],
        ),
        (
            Ending(status="succeeded", stop=Stop(reason="epochs_completed", last_epoch=1000, **STOPPED)),
            ["It ran all of its 1000 epochs.", BEST],
        ),
        (
            Ending(status="cancelled", stop=Stop(reason="cancelled", epochs_not_run=1000)),
            [
                "It was cancelled before its first epoch.",
                "1000 of the 1000 maximum epochs were not run.",
            ],
        ),
        (
            Ending(
                status="failed",
                stop=Stop(reason="error", last_epoch=2),
                error=JobError(code="hang", message="no batch finished for too long"),
            ),
            ["It failed after epoch 2.", "No batch finished for too long (hang)."],
        ),
        (
            Ending(
                status="succeeded",
                stop=Stop(
                    reason="budget",
                    last_epoch=30,
                    budget=BudgetUsed(kind="max_gpu_seconds", limit=5, used=4.871),
                    **STOPPED,
                ),
            ),
            [
                "It stopped after epoch 30: its budget was used up (4.871 of 5 seconds of compute time).",
                BEST,
                "It can be extended.",
            ],
        ),
        (
            Ending(
                status="failed",
                stop=Stop(reason="budget", budget=BudgetUsed(kind="deadline", limit=DEADLINE, used=DEADLINE)),
            ),
            [f"It ended before its first epoch had: its budget was used up (the deadline of {DEADLINE})."],
        ),
        (Ending(status="succeeded", stop=Stop(reason="budget", last_epoch=2)), ["It stopped (budget) after epoch 2."]),
        (Ending(status="failed"), ["It has finished, and no reason was recorded."]),
    ],
)
def test_a_job_that_is_over_says_why_it_stopped(client, new_job, ending, sentences):
    job = new_job(hyperparameters={"epochs": 1000})
    job.settle(ending, attempt=None)
    assert said(client, job) == sentences


def test_an_unknown_job_and_a_query_are_refused(client, job):
    assert client.get("/jobs/job_unknown/explain").status_code == 404
    assert client.get(f"/jobs/{job.id}/explain?a=1").status_code == 422


def test_a_job_that_no_worker_can_take_says_so_and_waits_for_the_workers_that_can(client, volume, new_job):
    wide = new_job(hyperparameters={"devices": 2})
    volume.show_worker(card(ready=True))
    assert said(client, wide)[-1].startswith("It waits for another worker: no worker has 2 devices")
    dry_run = client.post("/jobs?dry_run=true", json=small_spec(hyperparameters={"devices": 2})).json
    assert dry_run["warnings"][-1].startswith("no worker has 2 devices")
    volume.show_worker(card(running=(RunningAttempt(job=wide.id, attempt=1, slot=0),), name="wide", slot_devices=2))
    assert said(client, wide)[-1] == "The only slot is busy."


def test_a_job_says_that_free_slots_are_kept_for_it_or_for_one_before_it(client, volume, new_job):
    running, wide, narrow = new_job(), new_job(hyperparameters={"devices": 2}), new_job()
    attempt = RunningAttempt(job=running.id, attempt=1, slot=0)
    volume.show_worker(card(running=(attempt,), slots=2, most_devices=2, kept_for=wide.id))
    assert said(client, wide)[-1] == "A worker reserves its free slots for this job until they hold enough devices."
    assert said(client, narrow)[-1] == "The free slots are reserved for an earlier job that needs several of them."
    details = {one["id"]: one["waits"]["detail"] for one in client.get("/queue").json["data"]}
    assert details[wide.id] == "a worker reserves its free slots for it, until they hold 2 devices"
    assert "reserved for a job on several devices" in details[narrow.id]
    assert client.get("/workers").json["data"][0]["kept_for"] == wide.id
