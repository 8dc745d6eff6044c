"""The service's processes import the service's own code, and nothing else with the same name."""

import subprocess
import sys
from pathlib import Path

import fitstop.service
from fitstop.service import code_folder, run_service, service_environment

ROOT = Path(__file__).parents[3]


def make_decoys(folder):
    """Create packages in a user's folder with the names of the service's own."""
    for name in ("api", "shared", "worker"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise SystemExit('the package of the user')")


def test_in_the_repository_the_code_is_in_the_root():
    assert code_folder() == ROOT
    assert "python -m fitstop.service api.make_key" in run_service("api.make_key", "--help").stdout


def test_in_a_wheel_the_code_is_in_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(fitstop.service, "_IN_A_WHEEL", tmp_path)
    (tmp_path / "hello.py").write_text("import sys; print(sys.argv[1:], end='')")
    assert run_service("hello", "you").stdout == "['you']"


def test_packages_of_the_same_names_are_not_imported(tmp_path, monkeypatch):
    make_decoys(tmp_path / "here")
    make_decoys(tmp_path / "path")
    monkeypatch.chdir(tmp_path / "here")
    done = run_service("shared.settings", environment={"PYTHONPATH": str(tmp_path / "path")})
    assert (done.returncode, done.stderr) == (0, "")
    taken = service_environment({"PYTHONPATH": str(tmp_path / "path")})["PYTHONPATH"]
    assert taken == f"{ROOT}:{tmp_path / 'path'}"


def test_a_process_of_the_service_starts_by_hand(tmp_path):
    def start(*arguments):
        command = [sys.executable, "-m", "fitstop.service", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    make_decoys(tmp_path)
    assert "NAME" in start("api.make_key", "--help").stdout
    assert "python -m fitstop.service api" in start().stderr
