"""Runs a stand for each user and each kernel, in a process of that user."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.sandboxed import PLAIN_USER, environment_of, python_of, switch_to

# Landlock's ABI as in this kernel, and as in older ones.
KERNELS = {"this kernel": None, "Linux 6.7": 4, "Linux 5.13": 1}


def attack_as(user: str, abi: int | None, forks: int = 0) -> dict[str, Any]:
    """Run one stand and return its verdict."""
    with tempfile.TemporaryDirectory(dir="/tmp") as above:
        Path(above).chmod(0o755)
        folder = Path(above) / "stand"
        folder.mkdir()
        if user == "plain" and os.geteuid() == 0:
            os.chown(folder, PLAIN_USER, PLAIN_USER)
        done = subprocess.run(
            [
                *(python_of(user), "-m", "proofs.hostile_script.stand"),
                *(str(folder), "-" if abi is None else str(abi), str(forks)),
            ],
            env=environment_of(user),
            capture_output=True,
            text=True,
            check=False,
            **switch_to(user),
        )
        if done.returncode:
            sys.stderr.write(done.stderr)
            raise SystemExit(f"the stand ended with {done.returncode}")
        verdict: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return verdict
