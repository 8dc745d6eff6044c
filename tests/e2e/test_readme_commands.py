"""The README's commands from the first one on, unchanged except for the job's id and the interpreter."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Commands that create and fill a virtual environment. Here that of the tests is used.
ENVIRONMENTS = ("source .venv", "python3 -m venv")
NEWEST = """
fitstop() { "$PYTHON" -m fitstop.cli.main "$@"; }
newest() { fitstop ps -o json | "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["data"][0]["id"])'; }
"""


def test_the_commands_upload_a_sample_train_explain_and_predict(stack, tmp_path):
    _, training, predicting = console_blocks("## The service on one machine")
    lines = [*training, *(line.replace("venv/bin/python", '"$PYTHON"') for line in predicting)]
    script = NEWEST + "\n".join(lines).replace("JOB", "$(newest)")
    # The place where `make up` would create it.
    (tmp_path / "fitstop-data").symlink_to(stack.data)
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "stopped early at epoch" in done.stdout
    assert (tmp_path / "training_log.csv").read_text().startswith("epoch,accuracy")
    assert len(list(tmp_path.glob("model-*.keras"))) == 1
    predictions = done.stdout[done.stdout.rindex("prediction,probability_") :].splitlines()
    assert [line.split(",")[0] for line in predictions[1:]] == ["malignant"] * 5


def console_blocks(heading: str) -> list[list[str]]:
    """The commands of each console block under the heading, without their comments."""
    section = (ROOT / "README.md").read_text().partition(heading)[2].partition("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    commands = [re.findall(r"^\$ (.+?)(?: +#.*)?$", block, re.MULTILINE) for block in blocks]
    return [[one for one in block if not one.startswith(ENVIRONMENTS)] for block in commands]
