"""The README's walk-through with curl, unchanged except for the port and the folder, on the real service."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.wine import article_file

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")

BARE_KERAS = "import keras, sys; print(keras.models.load_model(sys.argv[1]).input_shape)"


def test_the_walk_through_ends_with_the_evidence_the_log_and_a_model(stack, tmp_path):
    script = re.search(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert script
    (stack.data / "downloads").mkdir(exist_ok=True)
    shutil.copy(article_file(tmp_path), stack.data / "downloads" / "wine-quality.csv")
    lines = script[1].replace("http://127.0.0.1:8000", stack.url).replace("fitstop-data/", f"{stack.data}/")
    told = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        cwd=tmp_path, capture_output=True, text=True, timeout=200, check=True,
    )  # fmt: skip

    stop = json.loads(told.stdout[("\n" + told.stdout).rindex("\n{") :])
    assert (stop["reason"], stop["monitor"], stop["wait"]) == ("early_stopping", "val_accuracy", 10)
    assert 20 <= stop["last_epoch"] <= 80
    assert stop["best"]["value"] >= 0.77
    rows = (tmp_path / "training_log.csv").read_text().splitlines()
    assert len(rows) == stop["last_epoch"] + 1
    job = json.loads((tmp_path / "job.json").read_text())
    listed = json.loads(
        subprocess.run(
            [
                "curl",
                "-sSf",
                "-H",
                f"Authorization: Bearer {stack.api_key}",
                f"{stack.url}/jobs/{job['id']}/checkpoints",
            ],
            capture_output=True,
            check=True,
        ).stdout
    )
    [best] = [one for one in listed["data"] if one["is_best"]]
    assert hashlib.sha256((tmp_path / "best.keras").read_bytes()).hexdigest() == best["sha256"]
    loaded = subprocess.run(
        [sys.executable, "-c", BARE_KERAS, "best.keras"],
        cwd=tmp_path, capture_output=True, text=True, check=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert loaded.stdout.splitlines()[-1] == "(None, 12)"
