"""A run that started from uploaded weights and was killed equals the untouched one, on each engine."""

import json
from pathlib import Path
from typing import Any

import keras
import pytest

from shared.job_folder import JobFolder
from shared.volume import Volume
from tests.support.both_stores import Machines
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.killing import Kill, outcome, preloaded_forks, resume_job, run_to_the_end
from tests.support.weights import put_weights_file


def put_model(volume: Volume, folder: Path) -> dict[str, Any]:
    """Put data and weights on the volume; return the model that starts from them."""
    put_dataset(volume, learnable_frame(160))
    keras.utils.set_random_seed(99)
    layers = [keras.layers.Dense(8, activation="relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.2)]
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(6, activation="softmax")])
    model.save_weights(folder / "m.weights.h5")
    put_weights_file(volume, folder / "m.weights.h5")
    return {"kind": "keras", "config": json.loads(model.to_json()), "weights": "first"}


@pytest.mark.both_stores
@pytest.mark.parametrize("engine", ["fused with XLA", "stock"])
def test_a_killed_run_from_uploaded_weights_equals_the_untouched_one(
    volume: Volume, machines: Machines, tmp_path: Path, engine: str
) -> None:
    forks, model = preloaded_forks(), put_model(volume, tmp_path)
    machines.upload(volume.datasets)
    machines.upload(volume.weights.folder)
    other = Volume(tmp_path / "other")
    put_model(other, tmp_path)

    def run(where: Volume, kills: list[Kill], **changes: Any) -> JobFolder:
        job = put_job(where, {**small_spec(**resume_job(engine)), "model": {**model, **changes}})
        run_to_the_end(job, forks, kills, 1e-6 if kills else 60, machines=machines if where is volume else None)
        return job

    untouched = outcome(run(other, []))
    assert outcome(run(volume, [Kill("batch", 13), Kill("batch", 20)])) == untouched
    assert outcome(run(other, [], weights=None)) != untouched
