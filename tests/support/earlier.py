"""A finished job whose best model another job starts from. Keras made the model, but nothing trained it."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from shared.job import AttemptEnd, Ending, Stop
from shared.job_folder import JobFolder
from shared.manifest import Checkpoint, Manifest, write_manifest
from shared.open_job import OpenJob
from shared.times import utc_now
from shared.volume import Volume
from tests.support.both_stores import uploads_of
from tests.support.jobs import claim, put_job

CHECKPOINT = "model-02.keras"


def keras_bytes(model: Any) -> bytes:
    """The model as the bytes of its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


def put_earlier_job(
    volume: Volume,
    spec: dict[str, Any],
    content: bytes,
    job_id: str | None = None,
    project: str = "default",
    files: dict[str, bytes] | None = None,
) -> JobFolder:
    """Put a job that has succeeded with this model. `files`: further files, such as the preprocessing of a table."""
    job = put_job(volume, spec, project, job_id)
    attempt = claim(job)
    with uploads_of(attempt):
        attempt.checkpoints.mkdir()
        (attempt.checkpoints / CHECKPOINT).write_bytes(content)
        best = Checkpoint(
            name=CHECKPOINT,
            epoch=2,
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            saved_at=utc_now(),
            metrics={"loss": 0.5, "val_loss": 0.6},
        )
        write_manifest(attempt.manifest_file, Manifest(best=best.name, checkpoints=(best,)))
        for name, one in (files or {}).items():
            (attempt.path / name).write_bytes(one)
    ending = Ending(status="succeeded", stop=Stop(reason="epochs_completed", last_epoch=2))
    attempt.close(AttemptEnd(outcome="finished", ended_at=utc_now(), ending=ending))
    job.settle(ending, 1)
    volume.close_job(OpenJob(5, job.id, project))
    return job


def small_cnn(classes: int = 10) -> Any:
    """A model of grey images of 16 x 16 pixels, with batch normalization, dropout, and always the same weights."""
    import keras

    keras.utils.set_random_seed(11)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(6, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(classes, activation="softmax"),
        ],
        name="digits",
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model
