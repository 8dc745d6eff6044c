"""Arrays that are larger than the memory: `python -m proofs.memory_of_arrays --gigabytes 6 --limit-gigabytes 2`.

Puts a sparse array of float32 on a volume and trains a job on it, in a process that may not have more anonymous memory
than the limit (RLIMIT_DATA). The array's pages belong to its file, so the kernel frees them when it needs memory. A
process that copied the array would end with MemoryError.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from shared.dataset import ArrayProfile
from shared.volume import Volume
from tests.support.jobs import claim, put_job
from tests.support.kinds import put_arrays_profile

_GIGABYTE = 1024**3
_ROW = 4096
_BLOCK_BYTES = 128 * 1024**2
_JOB = {
    "dataset": {"kind": "arrays", "id": "large", "validation_fraction": 0.02},
    "model": {"kind": "dense", "layers": [4]},
    "hyperparameters": {"epochs": 1, "batch_size": 2048, "xla": False},
}


def main() -> int:
    """Train in a limited process; 0 if it succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=6)
    parser.add_argument("--limit-gigabytes", type=float, default=2)
    parser.add_argument("--attempt", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    limit = int(asked.limit_gigabytes * _GIGABYTE)
    if asked.attempt:
        return _train(asked.attempt, limit)
    with tempfile.TemporaryDirectory() as folder:
        attempt = _put(Path(folder), asked.gigabytes)
        limits = ["--limit-gigabytes", str(asked.limit_gigabytes), "--attempt", str(attempt)]
        return subprocess.run([sys.executable, "-m", "proofs.memory_of_arrays", *limits], check=False).returncode


def _put(folder: Path, gigabytes: float) -> Path:
    """Create a job on an array of that size, and return the folder of its attempt."""
    volume = Volume(folder / "volume")
    rows = int(gigabytes * _GIGABYTE) // (4 * _ROW)
    arrays = volume.datasets / "large" / "arrays"
    arrays.mkdir(parents=True)
    np.lib.format.open_memmap(arrays / "x.npy", "w+", np.float32, (rows, _ROW)).flush()
    np.save(arrays / "y.npy", np.zeros(rows, np.float32))
    profiles = [
        ArrayProfile(name="x", role="input", part="training", shape=(rows, _ROW), dtype="float32"),
        ArrayProfile(name="y", role="target", part="training", shape=(rows,), dtype="float32"),
    ]
    put_arrays_profile(volume, "large", profiles)
    return claim(put_job(volume, _JOB)).path


def _train(folder: Path, limit: int) -> int:
    from shared.job_folder import AttemptFolder
    from shared.settings import Settings
    from worker.training.run import run
    from worker.training.stop_requests import StopRequests

    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    attempt, began = AttemptFolder(folder, int(folder.name)), time.monotonic()
    ending = run(attempt, StopRequests(attempt, 60), Settings(device_data_bytes=_BLOCK_BYTES)).ending
    assert ending is not None
    sys.stdout.write(
        f"{ending.status} in {time.monotonic() - began:.0f} s within {limit / _GIGABYTE:g} GiB of anonymous memory; at "
        f"the end {_data_bytes() / _GIGABYTE:.2f} GiB {ending.error or ''}\n"
    )
    return 0 if ending.status == "succeeded" else 1


def _data_bytes() -> int:
    """The anonymous memory of this process, as RLIMIT_DATA counts it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))


if __name__ == "__main__":
    raise SystemExit(main())
