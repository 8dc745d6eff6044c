"""Tests whether this machine can train: two small models in a separate process, which a broken driver may crash."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

PROGRAM = "worker.training.checks.device_check"
# A GPU newer than TensorFlow's code has its driver compile that at first use, which can take half an hour.
_SECONDS = 1800


@dataclass(frozen=True)
class Trial:
    """`report`: what the test reported, empty if it failed. `failure`: why it failed, empty if it did not."""

    report: dict[str, Any] = field(default_factory=dict)
    failure: str = ""


def try_training(place: str) -> Trial:
    """Train on the `GPU` or the `CPU` (`place`). Takes seconds, or minutes if the GPU's driver must compile."""
    command = [sys.executable, "-P", "-m", PROGRAM, place]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Trial(failure=f"not finished after {_SECONDS} s")
    said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    if done.returncode:
        return Trial(failure=said[:500])
    return Trial(json.loads(done.stdout.splitlines()[-1]))
