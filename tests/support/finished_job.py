"""A finished job with all files that a job can have, written by hand."""

import hashlib

from shared.durable import encode
from shared.events import Event
from shared.job import AttemptEnd, Ending, Stop
from shared.job_folder import JobFolder
from shared.manifest import Checkpoint, Manifest, write_manifest
from shared.open_job import OpenJob
from shared.points import point_name
from shared.progress import LastImprovement
from shared.project import DEFAULT_PROJECT
from shared.times import utc_now
from shared.volume import Volume
from tests.support.epochs import epoch, tell
from tests.support.jobs import claim, put_job, small_spec

MODEL = b"PK" + bytes(range(256)) * 300


def finished_job(volume: Volume, project: str = DEFAULT_PROJECT, dataset_id: str = "grades") -> JobFolder:
    """Put a finished job with all files that a job can have."""
    spec = small_spec(hyperparameters={"epochs": 40}, callbacks={"early_stopping": {"patience": 3}})
    job = put_job(volume, {**spec, "dataset": {**spec["dataset"], "id": dataset_id}}, project)
    attempt = claim(job)
    tell(
        attempt, Event("started", "at work", {"pid": 1}), *(epoch(n, 0.5, wait=n - 1, patience=3) for n in range(1, 5))
    )
    attempt.training_log.write_text("epoch,loss\n" + "".join(f"{n},{1 / (n + 1)}\n" for n in range(4)))
    attempt.checkpoints.mkdir()
    (attempt.checkpoints / "model-01.keras").write_bytes(MODEL)
    best = Checkpoint(
        name="model-01.keras",
        epoch=1,
        bytes=len(MODEL),
        sha256=hashlib.sha256(MODEL).hexdigest(),
        saved_at=utc_now(),
        metrics={"loss": 0.5},
    )
    write_manifest(attempt.manifest_file, Manifest(best=best.name, checkpoints=(best,)))
    (attempt.files / "out").mkdir(parents=True)
    (attempt.files / "out" / "scores.csv").write_text("fold,score\n1,0.5\n")
    attempt.resume.mkdir()
    (attempt.resume / point_name(4, 0)).write_bytes(b"a point")
    attempt.preprocessing_file.write_bytes(b"the fitted steps")
    attempt.inference_file.write_bytes(encode({"classes": None, "versions": {"keras": "3.15.1"}}))
    stop = Stop(
        reason="early_stopping",
        last_improvement=LastImprovement(epoch=1, value=0.5, min_delta=0),
        wait=3,
        patience=3,
        last_epoch=4,
    )
    ending = Ending(status="succeeded", stop=stop)
    attempt.close(AttemptEnd(outcome="finished", ended_at=utc_now(), ending=ending))
    job.settle(ending, 1)
    volume.close_job(OpenJob(5, job.id, project))
    return job
