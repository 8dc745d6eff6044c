"""The jobs: a table, augmented images and a script, and the outcome of each without faults."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from proofs.bucket_volume.stand import INTERVALS
from proofs.chaos.outcomes import outcome_of
from shared.job_folder import JobFolder
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.archives import zip_of
from tests.support.jobs import learnable_frame, small_spec
from tests.support.kinds import digit_images, kind_job
from tests.support.scripts import script_outcome
from tests.support.waiting import wait_for

SCRIPT = """
import keras
import numpy as np

keras.utils.set_random_seed(3)
chance = np.random.default_rng(3)
x = chance.normal(size=(3000, 12)).astype("float32")
y = (x[:, :3].sum(axis=1) + chance.normal(size=3000) > 0).astype("float32")
model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(24, activation="relu"), keras.layers.Dropout(0.3),
                          keras.layers.Dense(1, activation="sigmoid")])
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(x[:2400], y[:2400], validation_data=(x[2400:], y[2400:]), epochs=EPOCHS, batch_size=4, verbose=2, callbacks=[
    keras.callbacks.ModelCheckpoint("best.keras", monitor="val_loss", save_best_only=True),
    keras.callbacks.ReduceLROnPlateau(monitor="val_loss", patience=3),
    keras.callbacks.CSVLogger("log.csv"),
])
model.save("last.keras")
"""


class Kind(NamedTuple):
    """A kind of job: its spec, and how its outcome is read."""

    spec: dict[str, Any]
    outcome: Callable[[JobFolder], Any]


def kinds(epochs: int) -> list[Kind]:
    engine = {"engine": "fused", "xla": False}
    callbacks = {
        "early_stopping": {"patience": epochs, "min_delta": 0.001},
        "reduce_lr_on_plateau": {"patience": 2, "factor": 0.5, "cooldown": 1, "min_delta": 0.01},
        "model_checkpoint": {"keep": 2},
    }
    table = small_spec(
        dataset={"id": "grades", "target": "grade", "positive": None},
        model={"layers": [32, 32], "dropout": 0.3, "batch_normalization": True},
        hyperparameters={"epochs": epochs, "batch_size": 4, **engine},
        callbacks=callbacks,
    )
    images = kind_job("augmented images", epochs=epochs, batch_size=4, **engine)
    return [
        Kind(table, outcome_of),
        Kind({**images, "callbacks": callbacks}, outcome_of),
        Kind({"program": {"id": "script", "entry": "train.py"}}, script_outcome),
    ]


def endless(spec: dict[str, Any]) -> dict[str, Any]:
    """Change the spec of a table's job so that it ends only by a cancel."""
    hyperparameters = {**spec["hyperparameters"], "epochs": 100_000}
    return {**spec, "hyperparameters": hyperparameters, "callbacks": {**spec["callbacks"], "early_stopping": None}}


def put_data(ask: Callable[..., Any], epochs: int) -> None:
    """Upload the datasets and the program of all kinds."""
    ask("PUT", "/datasets/grades", learnable_frame(3000).to_csv(index=False).encode(), **{"Content-Type": "text/csv"})
    images = {f"{name}/{number}.png": one for name, found in digit_images().items() for number, one in enumerate(found)}
    ask("PUT", "/datasets/digits", zip_of(images), **{"Content-Type": "application/zip"})
    script = SCRIPT.replace("EPOCHS", str(epochs)).encode()
    ask("PUT", "/programs/script?name=train.py", script, **{"Content-Type": "text/x-python"})


def post(ask: Callable[..., Any], spec: dict[str, Any]) -> str:
    return str(ask("POST", "/jobs", spec, **{"Idempotency-Key": secrets.token_hex(8)})["id"])


def twins(folder: Path, found: list[Kind], epochs: int) -> list[Any]:
    """Run a job of each kind on a volume without faults, and return their outcomes."""
    volume = Volume(folder / "posix" / "volume")
    environment = {**INTERVALS, "FITSTOP_DATA": str(folder / "posix"), "FITSTOP_CACHE": str(folder / "posix/cache")}
    api = ApiProcess(volume, "none", folder / "posix-api.log", **environment)
    api.start()
    whole = {**os.environ, **environment, "FITSTOP_VOLUME": str(volume.root), "FITSTOP_REDIS_URL": "none"}
    with (folder / "posix-worker.log").open("ab") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "worker"], env=whole, stdout=log, stderr=log, start_new_session=True
        )

    def ask(*words: Any, **headers: str) -> Any:
        answer = api.ask(*words, **headers)
        assert answer.status < 300, answer.body
        return answer.json

    try:
        put_data(ask, epochs)
        jobs = [volume.job_folder(post(ask, kind.spec)) for kind in found]
        for job in jobs:
            wait_for(job.result, 600, every=0.2, saying=f"the twin {job.id} ends, see {folder}")
        return [kind.outcome(job) for kind, job in zip(found, jobs, strict=True)]
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        api.kill()
