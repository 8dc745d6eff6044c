"""Kept checkpoints: whole files, named in the manifest, the best ones."""

import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shared.job_folder import AttemptFolder, JobFolder
from shared.manifest import read_manifest
from shared.spec import ModelCheckpointSpec
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from worker.training.checkpoints import CheckpointStore, finite_metrics
from worker.training.run import run
from worker.training.stop_requests import StopRequests


def saved(folder: Path, values: list[float], **spec: object) -> CheckpointStore:
    options = {"monitor": "v", "mode": "max", "filename": "m-{epoch:02d}", "keep": 3, **spec}
    asked = ModelCheckpointSpec.model_validate(options)
    store = CheckpointStore(asked, AttemptFolder(folder, 1))
    for epoch, value in enumerate(values, 1):
        name = f"{asked.filename.format(epoch=epoch)}.keras"
        store.publish(name, f"model of epoch {epoch}".encode(), epoch, finite_metrics({"v": value}))
    return store


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").glob("m*.keras"))


def test_the_best_ones_stay_and_the_others_are_removed(tmp_path: Path) -> None:
    saved(tmp_path, [0.1, 0.9, 0.2, 0.8, 0.3]).clear_away(set())
    assert names(tmp_path) == ["m-02.keras", "m-04.keras", "m-05.keras"]
    manifest = read_manifest(tmp_path / "checkpoints" / "manifest.json")
    assert [one.name for one in manifest.checkpoints] == names(tmp_path)
    assert manifest.best == "m-02.keras"


def test_what_a_resume_point_needs_is_not_removed(tmp_path: Path) -> None:
    saved(tmp_path, [0.1, 0.9, 0.2, 0.8, 0.3]).clear_away({"m-01.keras"})
    assert names(tmp_path) == ["m-01.keras", "m-02.keras", "m-04.keras", "m-05.keras"]


def test_of_equal_values_the_earlier_is_the_best(tmp_path: Path) -> None:
    assert saved(tmp_path, [0.5, 0.5, 0.5]).manifest.best == "m-01.keras"


def test_less_is_better_in_mode_min(tmp_path: Path) -> None:
    assert saved(tmp_path, [0.5, 0.2, 0.4], mode="min").manifest.best == "m-02.keras"


def test_a_value_that_is_not_finite_is_worth_least(tmp_path: Path) -> None:
    manifest = saved(tmp_path, [0.1, math.nan, 0.2, 0.3]).manifest
    assert [one.name for one in manifest.checkpoints] == ["m-01.keras", "m-03.keras", "m-04.keras"]


def test_a_name_without_the_epoch_is_replaced_in_place(tmp_path: Path) -> None:
    manifest = saved(tmp_path, [0.1, 0.2, 0.3], filename="m").manifest
    assert [(one.name, one.epoch) for one in manifest.checkpoints] == [("m.keras", 3)]
    assert names(tmp_path) == ["m.keras"]


def test_the_manifest_tells_the_files_bytes_and_hash(tmp_path: Path) -> None:
    for one in saved(tmp_path, [0.1, 0.2]).manifest.checkpoints:
        content = (tmp_path / "checkpoints" / one.name).read_bytes()
        assert (one.bytes, one.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def trained(volume: Volume, **spec: object) -> JobFolder:
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec(**spec))
    attempt = claim(job)
    conclusion = run(attempt, StopRequests(attempt, 60))
    assert conclusion.ending is not None
    assert conclusion.ending.status == "succeeded"
    return job


BARE_KERAS = """
import json, sys
import keras, numpy as np
arrays = np.load(sys.argv[1])
for file in sys.argv[2:]:
    model = keras.models.load_model(file)
    values = model.evaluate(arrays["x"], arrays["y"], batch_size=1024, verbose=0, return_dict=True)
    print(json.dumps({name: float(value) for name, value in values.items()}))
assert not [name for name in sys.modules if name.split(".")[0] in ("worker", "shared", "api")]
"""


def test_the_best_checkpoint_loads_in_bare_keras_and_is_worth_what_the_manifest_says(tmp_path: Path) -> None:
    from worker.training.data.load import load_data

    bests, files = [], []
    for form in ("keras", "h5"):
        job = trained(Volume(tmp_path / form), callbacks={"model_checkpoint": {"format": form}})
        attempt = job.attempts()[0]
        manifest = read_manifest(attempt.manifest_file)
        assert manifest.best is not None
        best = manifest.find(manifest.best)
        assert best is not None
        assert best.name.endswith(form)
        bests.append(best)
        files.append(str(attempt.checkpoints / best.name))
    record = job.record()
    assert record is not None
    data = load_data(attempt, record)
    np.savez(tmp_path / "rows.npz", x=data.validation.x, y=data.validation.targets)
    printed = subprocess.run(
        [sys.executable, "-c", BARE_KERAS, str(tmp_path / "rows.npz"), *files],
        capture_output=True, text=True, check=True, cwd=tmp_path, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )  # fmt: skip
    for best, line in zip(bests, printed.stdout.splitlines()[-2:], strict=True):
        values = json.loads(line)
        for name in ("loss", "accuracy", "precision", "recall"):
            assert values[name] == pytest.approx(best.metrics[f"val_{name}"], abs=1e-6)
