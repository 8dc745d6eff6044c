"""The view of a job, from attempts written by hand."""

from shared.events import Event, EventWriter
from shared.job import AttemptEnd, Ending, EnginePlan, JobError, Stop
from shared.manifest import Checkpoint, Manifest, write_manifest
from shared.progress import Best
from shared.times import utc_now
from tests.support.calls import count_calls
from tests.support.jobs import claim


def epoch_event(epoch, accuracy=0.5, **parts):
    data = {
        "epoch": epoch,
        "epochs": 4,
        "metrics": {"loss": 0.7, "val_accuracy": accuracy},
        "learning_rate": 0.001,
        "seconds": 0.02,
        "best": {"epoch": 1, "monitor": "val_accuracy", "value": 0.5},
        "early_stopping": None,
        "reduce_lr": {"wait": 1, "patience": 10},
        **parts,
    }
    return Event("epoch", f"epoch {epoch} of 4", data)


def write_events(attempt, *events):
    with EventWriter(attempt.events_file) as writer:
        writer.write(events)


def checkpoint(name, epoch=1, size=3):
    return Checkpoint(name=name, epoch=epoch, bytes=size, sha256="0" * 64, saved_at=utc_now(), metrics={"loss": None})


def keep(attempt, *checkpoints, best):
    attempt.checkpoints.mkdir()
    write_manifest(attempt.manifest_file, Manifest(best=best, checkpoints=checkpoints))


def shown(client, job):
    return client.get(f"/jobs/{job.id}").json


def test_a_running_job_shows_its_last_epoch_and_its_worker(client, job):
    attempt = claim(job)
    write_events(attempt, epoch_event(1), epoch_event(2, 0.6), Event("checkpoint", "saved", {}))
    report = shown(client, job)
    progress = report["progress"]
    assert (progress["epoch"], progress["epochs"], progress["metrics"]["val_accuracy"]) == (2, 4, 0.6)
    assert (progress["best"]["epoch"], progress["reduce_lr"], progress["early_stopping"]) == (
        1,
        {"wait": 1, "patience": 10},
        None,
    )
    assert (progress["epoch_seconds"], progress["learning_rate"]) == (0.02, 0.001)
    price = {"gpu_price_per_hour": None, "currency": None}
    assert report["worker"] == {"host": "here", "device": "CPU", "slot": 0, **price}
    assert report["started_at"] == attempt.claim().claimed_at
    assert report["updated_at"] >= progress["updated_at"]
    assert (report["queue_position"], report["attempt"]) == (None, 1)


def test_progress_is_kept_while_the_next_attempt_has_none_of_its_own(client, job):
    first = claim(job, 1)
    write_events(first, epoch_event(3))
    first.close(AttemptEnd(outcome="lost", ended_at=utc_now(), is_failure=True))
    assert (shown(client, job)["status"], shown(client, job)["worker"]) == ("queued", None)
    claim(job, 2)
    report = shown(client, job)
    assert (report["progress"]["epoch"], report["attempt"]) == (3, 2)
    assert report["started_at"] == first.claim().claimed_at


def test_checkpoints_are_those_of_the_newest_attempt_that_has_some(client, job):
    first = claim(job, 1)
    keep(first, checkpoint("a.keras"), checkpoint("b.keras", 2, 5), best="b.keras")
    first.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    claim(job, 2)
    assert shown(client, job)["checkpoints"] == {"count": 2, "best": "b.keras", "bytes": 8}


def test_how_the_job_is_computed_is_shown_once_it_is_decided(client, job):
    assert shown(client, job)["engine"] is None
    decided = {
        "engine": "fused",
        "xla": True,
        "threads": 1,
        "validation_batch": 9,
        "steps_per_epoch": 4,
        "reason": "why",
        "devices": 1,
        "rewrites_graphs": False,
    }
    job.keep_to(EnginePlan(**decided))
    job.keep_to(EnginePlan(**{**decided, "xla": False}))
    assert shown(client, job)["engine"] == decided


def test_a_job_that_is_over_shows_why(client, job):
    attempt = claim(job)
    attempt.close(AttemptEnd(outcome="finished", ended_at=utc_now(), ending=Ending(status="succeeded")))
    stop = Stop(
        reason="early_stopping",
        monitor="val_accuracy",
        best=Best(epoch=2, monitor="val_accuracy", value=0.6),
        wait=1,
        patience=1,
    )
    job.settle(Ending(status="succeeded", stop=stop), attempt=1)
    report = shown(client, job)
    assert (report["status"], report["stop"]["reason"], report["stop"]["best"]["value"]) == (
        "succeeded",
        "early_stopping",
        0.6,
    )
    assert report["finished_at"] == report["updated_at"]
    assert report["worker"]["device"] == "CPU"
    assert report["failures"] == []


def test_a_job_that_failed_shows_its_error(client, job):
    claim(job)
    job.settle(Ending(status="failed", error=JobError(code="bad_data", message="no rows")), attempt=1)
    assert shown(client, job)["error"] == {"code": "bad_data", "message": "no rows"}


def test_values_that_were_not_finite_are_null(client, job):
    write_events(claim(job), epoch_event(1, metrics={"loss": None}, best=None))
    assert shown(client, job)["progress"]["metrics"] == {"loss": None}


def test_an_event_that_says_nothing_whole_hides_no_job(client, job):
    write_events(claim(job), Event("epoch", "half", {"epoch": 1}))
    assert shown(client, job)["progress"] is None


def test_a_report_costs_the_same_at_any_length_of_the_log(client, job):
    write_events(claim(job), *[epoch_event(epoch) for epoch in range(1, 501)])
    shown(client, job)
    of_500 = count_calls(lambda: shown(client, job))
    write_events(job.attempts()[-1], *[epoch_event(epoch) for epoch in range(501, 10_001)])
    assert shown(client, job)["progress"]["epoch"] == 10_000
    assert count_calls(lambda: shown(client, job)) < 1.2 * of_500
