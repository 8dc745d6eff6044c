"""Images from a folder and arrays from an `.npz`, end to end: predictions elsewhere agree with the manifest."""

import io
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from fitstop.cli.main import main
from shared.settings import Settings
from tests.support.bundles import best_metrics, download
from tests.support.jobs import claim
from tests.support.keys import ADMIN_KEY
from tests.support.kinds import digit_images, digits
from worker.training.data.load import load_data
from worker.training.run import run
from worker.training.stop_requests import StopRequests

# Runs the program of each bundle in a process that cannot import Fitstop, one after the other to load Keras once.
PREDICT = """
import runpy, sys
sys.path = [path for path in sys.path if path != sys.argv[1]]
for folder, rows in zip(sys.argv[2::2], sys.argv[3::2]):
    sys.modules.pop("prepare", None)
    sys.argv = ["predict.py", rows, "-o", f"{folder}/out.csv"]
    runpy.run_path(f"{folder}/predict.py", run_name="__main__")
    assert sys.modules["prepare"].__file__.startswith(folder)
assert not {"api", "shared", "worker"} & set(sys.modules)
"""
EPOCHS = {"hyperparameters": {"epochs": 2, "learning_rate": 0.01}}


def train(api, volume, dataset_id, tmp_path):
    """Train a job that names only the dataset's id; return the job and its rows."""
    answer = api.ask("POST", "/jobs", {"dataset": {"id": dataset_id}, **EPOCHS})
    assert answer.status == 202, answer.json
    job = volume.job_folder(answer.json["id"])
    attempt, settings = claim(job), Settings(cache=tmp_path / "cache")
    assert run(attempt, StopRequests(attempt, 60), settings).ending.status == "succeeded"
    assert job.record().spec.model.kind == "cnn"
    return job, load_data(attempt, job.record(), settings)


def put_folder(api, folder, monkeypatch):
    """Write the digits into class folders and send them with the command."""
    for name, encoded in digit_images(160).items():
        (folder / name).mkdir(parents=True)
        for number, content in enumerate(encoded):
            (folder / name / f"{number}.png").write_bytes(content)
    monkeypatch.setenv("FITSTOP_API_KEY", ADMIN_KEY)
    done = CliRunner().invoke(
        main, ["--url", f"http://127.0.0.1:{api.port}", "datasets", "put", "pictures", str(folder)]
    )
    assert done.exit_code == 0, done.output


def write_images(volume, selected, folder):
    """Write the validation images as files; return the class of each by its file."""
    frame = pd.read_parquet(volume.datasets / "pictures" / "data.parquet").iloc[selected]
    folder.mkdir()
    files = {
        str(folder / path.replace("/", "-")): label for path, label in zip(frame["path"], frame["label"], strict=True)
    }
    for file, content in zip(files, frame["image"], strict=True):
        Path(file).write_bytes(content)
    return files


def plain_keras(folder, data):
    """Return Keras's own evaluation of the bundle's model on the validation part."""
    inputs, targets = data.validation.take(slice(None))
    return keras.models.load_model(folder / "model.keras").evaluate(inputs, targets, verbose=0, return_dict=True)


def test_images_and_arrays_are_predicted_as_the_manifest_says(api, volume, tmp_path, monkeypatch):
    put_folder(api, tmp_path / "pictures", monkeypatch)
    x, y = digits(160)
    content = io.BytesIO()
    np.savez(content, x=x, y=y)
    assert api.ask("PUT", "/datasets/arrays", content.getvalue()).status == 201
    jobs = [train(api, volume, name, tmp_path) for name in ("pictures", "arrays")]
    folders = [download(api, job, tmp_path / "elsewhere") for job, _ in jobs]
    (_, images), (_, arrays) = jobs
    truth = write_images(volume, images.validation.selected, tmp_path / "rows")
    np.savez(tmp_path / "rows.npz", x=x[arrays.validation.selected])
    rows = [str(tmp_path / "rows"), str(tmp_path / "rows.npz")]
    pairs = [str(one) for pair in zip(folders, rows, strict=True) for one in pair]
    done = subprocess.run(
        [sys.executable, "-I", "-c", PREDICT, str(tmp_path), *pairs],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = [pd.read_csv(folder / "out.csv", dtype={"prediction": str}) for folder in folders]
    of_images = [truth[file] == found for file, found in zip(out[0]["file"], out[0]["prediction"], strict=True)]
    of_arrays = out[1]["prediction"] == y[arrays.validation.selected].astype(str)
    for (job, data), folder, right in zip(jobs, folders, (of_images, of_arrays), strict=True):
        metrics = best_metrics(job)
        assert len(right) == len(data.validation) == 32
        assert np.mean(right) == pytest.approx(metrics["val_accuracy"])
        evaluated = plain_keras(folder, data)
        assert evaluated["accuracy"] == pytest.approx(metrics["val_accuracy"])
        assert evaluated["loss"] == pytest.approx(metrics["val_loss"], rel=1e-4)
