"""`make up` installs the build of TensorFlow that the machine can use, and never both builds."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def plan(venv: Path, *installed: str, gpu: str) -> str:
    """Return what `make up` would run if these locks are installed in the environment."""
    (venv / "bin").mkdir(parents=True)
    for name in ("bin/python", *installed):
        (venv / name).touch()
    command = ["make", "--dry-run", "--no-print-directory", "up", f"GPU={gpu}", f"VENV={venv}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("gpu", "lock"), [("yes", "requirements/local-gpu.txt"), ("no", "requirements/local.txt")])
def test_the_build_is_the_one_of_the_device(tmp_path: Path, gpu: str, lock: str) -> None:
    planned = plan(tmp_path / "venv", gpu=gpu)
    assert f"--require-hashes -r {lock}\n" in planned
    assert "uninstall" not in planned


@pytest.mark.parametrize(("gpu", "before", "after"), [("yes", ".dev", ".local-gpu"), ("no", ".local-gpu", ".local")])
def test_the_other_build_is_removed_first(tmp_path: Path, gpu: str, before: str, after: str) -> None:
    venv = tmp_path / "venv"
    steps = plan(venv, before, gpu=gpu).splitlines()
    removed = next(step for step in steps if "uninstall" in step)
    assert removed.endswith(f"tensorflow tensorflow-cpu && rm -f {venv}/{before}")
    assert steps.index(removed) < next(number for number, step in enumerate(steps) if "--require-hashes" in step)
    assert f"touch {venv}/{after}" in steps
