"""The bundle of a trained job: the same bytes each time, and predictions without Fitstop installed."""

import csv
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import skops.io

from api import create_app
from api.state.service import Service
from shared.job_folder import JobFolder
from shared.settings import Settings
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.keys import ADMIN_KEY, authorized
from worker.training.run import run
from worker.training.stop_requests import StopRequests

# Runs each bundle's program as a script of its own, in a process that cannot import Fitstop.
WITHOUT_FITSTOP = """
import runpy, sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"api", "bench", "fitstop", "proofs", "shared", "worker", "tests"}:
            raise ImportError(f"{name} is of Fitstop")
sys.meta_path.insert(0, Nothing())
for folder in sys.argv[1:]:
    sys.argv = ["predict.py", f"{folder}/rows.csv", "-o", f"{folder}/out.csv"]
    runpy.run_path(f"{folder}/predict.py", run_name="__main__")
"""


@pytest.fixture
def app(tmp_path):
    return create_app(Settings(volume=tmp_path / "volume", redis_url="redis://127.0.0.1:1/0", admin_key=ADMIN_KEY))


def frame():
    data = learnable_frame(160)
    data["level"] = np.where(data["grade"] < 2, "low", np.where(data["grade"] < 4, "mid, or so", "high"))
    data["amount"] = data["a"] * 3 + data["b"]
    data["sure"] = data["c"] > 0
    return data


def trained(volume, **parts) -> JobFolder:
    job = put_job(volume, small_spec(**parts))
    attempt = claim(job)
    conclusion = run(attempt, StopRequests(attempt, 60))
    assert conclusion.ending.status == "succeeded"
    return job


def fetched(client, job, to: Path) -> Path:
    answer = client.get(f"/jobs/{job.id}/bundle.zip", buffered=True)
    assert answer.status_code == 200
    zipfile.ZipFile(io.BytesIO(answer.data)).extractall(to)
    return to / job.id


def expected(job, data):
    """Return the model's outputs for the data as training knew it."""
    [attempt] = job.attempts()
    pipeline = skops.io.load(attempt.preprocessing_file, trusted=["numpy.dtype"])
    best = json.loads(attempt.manifest_file.read_text())["best"]
    features = pipeline.transform(data.astype({"kind": object, "level": object})).astype(np.float32)
    return keras.models.load_model(attempt.checkpoints / best, compile=False).predict(features, verbose=0)


def test_a_bundle_predicts_without_fitstop_what_the_model_says(app, tmp_path):
    client, volume = authorized(app), Service.of(app).volume
    data = frame()
    put_dataset(volume, data)
    binary = trained(volume, dataset={"drop_columns": ["amount"]}, hyperparameters={"epochs": 2})
    classes = trained(
        volume,
        dataset={
            "target": "level",
            "positive": None,
            "drop_columns": ["grade", "amount"],
            "categorical": ["kind", "sure"],
        },
        hyperparameters={"epochs": 2},
    )
    regression = trained(
        volume,
        dataset={"target": "amount", "positive": None, "missing": "impute", "drop_columns": ["grade"]},
        hyperparameters={"epochs": 2},
        callbacks={"model_checkpoint": {"format": "h5"}},
    )
    jobs = [binary, classes, regression]
    folders = [fetched(client, job, tmp_path / "elsewhere") for job in jobs]
    for folder in folders:
        # Columns in another order, an unknown one, another separator, and one missing value.
        rows = data.assign(unknown="x")[["unknown", *reversed(data.columns)]].astype(object)
        rows.loc[3, "a"] = None
        rows.to_csv(folder / "rows.csv", index=False, sep=";")
    done = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_FITSTOP, *map(str, folders)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = [pd.read_csv(folder / "out.csv", keep_default_na=False, dtype=str) for folder in folders]
    outputs = [expected(job, data) for job in jobs]
    rest = np.arange(len(data)) != 3

    def is_near(column, values):
        np.testing.assert_allclose(column[rest].astype(float), values[rest], rtol=1e-4, atol=1e-6)

    assert [len(found) for found in out] == [len(data)] * 3
    is_near(out[0]["probability_true"], outputs[0][:, 0])
    assert set(out[0]["prediction"][rest]) == {"true", "false"}
    names = ["high", "low", "mid, or so"]
    is_near(out[1]["probability_mid, or so"], outputs[1][:, 2])
    assert (out[1]["prediction"][rest] == [names[number] for number in outputs[1][rest].argmax(axis=1)]).all()
    is_near(out[2]["prediction"], outputs[2][:, 0])
    # Without the value the first two predict nothing; the third fills it in, as it was fitted to.
    assert [found["prediction"][3] for found in out[:2]] == [""] * 2
    assert np.isfinite(float(out[2]["prediction"][3]))

    again = [client.get(f"/jobs/{classes.id}/bundle.zip", buffered=True) for _ in range(2)]
    assert again[0].data == again[1].data
    etag = again[0].headers["ETag"]
    known = client.get(f"/jobs/{classes.id}/bundle.zip", headers={"If-None-Match": etag}, buffered=True)
    assert known.status_code == 304
    archive = zipfile.ZipFile(io.BytesIO(again[0].data))
    assert archive.testzip() is None
    assert sorted(name.partition("/")[2] for name in archive.namelist()) == [
        "job.json", "model.keras", "predict.py", "prepare.py", "preprocessing.skops", "requirements.txt",
        "schema.json", "training_log.csv",
    ]  # fmt: skip
    assert "keras==" in archive.read(f"{classes.id}/requirements.txt").decode()
    assert len(list(csv.reader(io.StringIO(archive.read(f"{classes.id}/training_log.csv").decode())))) == 3
    assert json.loads(archive.read(f"{classes.id}/job.json"))["spec"]["dataset"]["target"] == "level"


def test_a_job_without_a_model_has_no_bundle(app):
    client, volume = authorized(app), Service.of(app).volume
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec())
    assert client.get(f"/jobs/{job.id}/bundle.zip").status_code == 404
