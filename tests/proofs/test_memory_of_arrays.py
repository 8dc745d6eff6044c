"""A short version of the proof that arrays need not fit into memory."""

import subprocess
import sys


def test_an_array_trains_in_less_anonymous_memory_than_it_has() -> None:
    sizes = ["--gigabytes", "1.2", "--limit-gigabytes", "1.1"]
    done = subprocess.run(
        [sys.executable, "-m", "proofs.memory_of_arrays", *sizes], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout
