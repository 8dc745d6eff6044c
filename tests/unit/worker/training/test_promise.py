"""A job trains what its post promised: random tables, checked and then loaded."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.ids import new_job_id
from shared.job import JobRecord
from shared.problems import Refused
from shared.resolve import resolve
from shared.resolve.row_facts import DatasetRows
from shared.spec import JobSpec
from shared.times import utc_now
from shared.validation import validate
from shared.volume import Volume
from tests.support.jobs import claim, put_dataset, small_spec
from worker.training.data.load import load_data


def table(seed: int, rows: int, gaps: float, classes: int) -> pd.DataFrame:
    """Numbers, few whole numbers, texts and dates with gaps, a nearly constant column, and targets of every kind."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "number": random.normal(size=rows),
            "whole": random.integers(0, 4, rows).astype(float),
            "text": random.choice(list("abcde"), rows).astype(object),
            "day": np.datetime64("2024-02-28", "us") + random.integers(0, 5, rows) * np.timedelta64(1, "D"),
            "truth": random.random(rows) < 0.5,
            "rare": np.where(random.random(rows) < 0.1, "x", "y").astype(object),
            "label": random.choice([f"class {one}" for one in range(classes)], rows).astype(object),
            "grade": random.integers(0, classes, rows),
            "price": random.normal(size=rows),
        }
    )
    frame["truth"] = frame["truth"].astype("boolean")
    for name in ("number", "whole", "text", "day", "truth", "rare", "label"):
        frame[name] = frame[name].where(random.random(rows) >= gaps, None)
    return frame.astype({"number": float, "whole": float})


SPECS = st.fixed_dictionaries(
    {
        "target": st.sampled_from(["label", "grade", "price", "whole", "day"]),
        "missing": st.sampled_from(["drop", "impute"]),
        "validation_fraction": st.sampled_from([0.1, 0.2, 0.5, 0.8]),
        "split_seed": st.integers(0, 99),
        "categorical": st.sampled_from(["auto", [], ["grade"], ["number"], ["day"], ["truth", "whole"]]),
        "categorical_encoding": st.sampled_from(["one_hot", "hashing", "target"]),
        "stratify": st.booleans(),
    }
)


@given(st.integers(0, 10**6), st.integers(4, 60), st.sampled_from([0.0, 0.05, 0.3]), st.sampled_from([2, 3, 12]), SPECS)
@settings(max_examples=60, deadline=None)
def test_a_job_that_was_taken_trains_the_classes_and_features_that_were_promised(
    seed: int, rows: int, gaps: float, classes: int, dataset: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        volume = Volume(Path(folder) / "volume")
        info = put_dataset(volume, table(seed, rows, gaps, classes))
        asked = validate(JobSpec, small_spec(dataset={"positive": None, **dataset}))
        try:
            what = resolve(asked, info, DatasetRows(volume.data_file(info.id), info))
        except Refused:
            return
        record = JobRecord(
            id=new_job_id(), created_at=utc_now(), spec=what.spec, task=what.task, data_sha256=info.data_sha256
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found unknown categories", UserWarning)
            data = load_data(claim(volume.store_job(record)), record)
    assert data.features == what.task.features
    assert data.classes == what.task.classes
    assert what.spec.hyperparameters.batch_size == min(32, len(data.train.x))
