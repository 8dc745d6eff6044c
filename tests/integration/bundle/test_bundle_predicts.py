"""End to end: upload, train, download, and predict elsewhere as well as the manifest says."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from tests.support.bundles import best_metrics, download
from tests.support.jobs import claim
from worker.training.run import run
from worker.training.stop_requests import StopRequests

ROWS = 200
# Runs each bundle's program in a process that cannot import Fitstop, one after the other to load Keras once.
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
NOTHING_TO_TUNE = {"hyperparameters": {"epochs": 2}, "model": {"layers": [8]}}
JOBS = {
    "gaps": {
        "target": "price", "missing": "impute", "drop_columns": ["grade", "flag", "name"],
    },
    "means": {
        "target": "grade", "categorical_encoding": "target", "drop_columns": ["price", "flag", "seen"],
        "scaling": "robust",
    },
    "hashes": {
        "target": "flag", "categorical_encoding": "hashing", "hashing_columns": 16, "missing": "impute",
        "categorical": ["whole", "code"], "drop_columns": ["price", "grade"], "scaling": "minmax",
    },
    "named": {
        "target": "price", "categorical": ["whole", "count"], "drop_columns": ["grade", "flag", "name"],
        "scaling": "none",
    },
}  # fmt: skip


def table():
    generator = np.random.default_rng(3)
    size = generator.normal(size=ROWS)
    moments = pd.Timestamp("2024-01-31 05:00:00.5") + pd.to_timedelta(generator.integers(0, 10**8, ROWS), unit="s")
    frame = pd.DataFrame(
        {
            "size": size,
            "count": generator.integers(0, 5, ROWS),
            "sure": generator.choice(["true", "false"], ROWS),
            "whole": generator.choice(["true", "false"], ROWS),
            "code": generator.choice(["007", "A7", "a, b", 'say "é"'], ROWS),
            "seen": moments.strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "name": [f"name {number}" for number in generator.integers(0, 60, ROWS)],
        }
    )
    price = 3 * size + frame["count"] + (frame["sure"] == "true") + (frame["code"] == "007")
    goals = {"price": price, "grade": np.digitize(price, [0, 3]).astype(str), "flag": (price > 1).astype(int)}
    frame = frame.assign(**goals).astype(object)
    for name in ("size", "sure", "code", "seen"):
        frame.loc[generator.random(ROWS) < 0.1, name] = None
    frame["grade"] = frame["grade"].map({"0": "low", "1": "mid", "2": "high"})
    return frame


def train(api, volume, dataset):
    answer = api.ask("POST", "/jobs", {"dataset": {"id": "table", **dataset}, **NOTHING_TO_TUNE})
    assert answer.status == 202, answer.json
    job = volume.job_folder(answer.json["id"])
    attempt = claim(job)
    assert run(attempt, StopRequests(attempt, 60)).ending.status == "succeeded"
    return job


def validation_rows(frame, dataset):
    """Return the row numbers of the validation part in the file."""
    used = frame.drop(columns=dataset["drop_columns"])
    left = used if dataset.get("missing") == "impute" else used.dropna()
    return train_test_split(left.index, test_size=0.2, random_state=42)[1]


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_predictions_are_as_good_as_the_manifest_says(api, volume, tmp_path):
    frame = table()
    text = frame.to_csv(index=False)
    assert api.ask("PUT", "/datasets/table", text.encode()).status == 201
    jobs = {name: train(api, volume, dataset) for name, dataset in JOBS.items()}
    folders = {name: download(api, job, tmp_path / "elsewhere") for name, job in jobs.items()}
    (tmp_path / "rows.csv").write_text(text)
    # As another program would have written them: numbers as numbers, in another order.
    typed = frame[frame.columns[::-1]].astype({"count": int, "size": float})
    typed.assign(sure=typed["sure"].map({"true": True, "false": False})).to_parquet(tmp_path / "rows.parquet")
    rows = {name: tmp_path / ("rows.parquet" if name == "named" else "rows.csv") for name in JOBS}
    pairs = [str(path) for name in JOBS for path in (folders[name], rows[name])]
    done = subprocess.run(
        [sys.executable, "-I", "-c", PREDICT, str(tmp_path), *pairs],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name, dataset in JOBS.items():
        found = pd.read_csv(folders[name] / "out.csv", keep_default_na=False, dtype=str)
        assert len(found) == ROWS
        at = validation_rows(frame, dataset)
        predictions, truth = found["prediction"][at], frame[dataset["target"]][at]
        metrics = best_metrics(jobs[name])
        if dataset["target"] == "price":
            error = np.abs(predictions.astype(float) - truth.astype(float)).mean()
            assert error == pytest.approx(metrics["val_mae"], rel=1e-5), name
        else:
            assert (predictions == truth.astype(str)).mean() == pytest.approx(metrics["val_accuracy"]), name
            chances = [float(found[f"probability_{goal}"][row]) for row, goal in truth.items() if name == "means"]
            assert not chances or -np.log(chances).mean() == pytest.approx(metrics["val_loss"], rel=1e-4)
