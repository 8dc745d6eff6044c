"""The program on the terminals that people have: other encodings, closed and full outputs. Never a traceback."""

import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

NAME = "模型 \U0001f600 naïve ▄"
ENCODINGS = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
COMMANDS = {
    "ps": ["ps"],
    "show": ["show", "JOB"],
    "explain": ["explain", "JOB"],
    "log": ["log", "JOB"],
    "plot": ["plot", "JOB"],
    "bundle": ["bundle", "JOB"],
    "an error": ["show", "x"],
}


@pytest.fixture
def service(canned, make_job, make_page):
    """A service with one job whose every text is hard to show."""
    job = make_job(1, "succeeded", name=NAME, warnings=[NAME], spec={"metadata": {"who": NAME}, "callbacks": {}})
    path = f"/jobs/{job['id']}"
    rows = [{"epoch": n, "metrics": {"val_loss": 1.0 / n, "loss": 0.9 / n}, "seconds": 0.1} for n in range(1, 9)]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("predict.py", "print()")
    model = {"name": "m.keras", "epoch": 1, "bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest(), "is_best": True}
    event = {"id": "1:1", "time": "2026-11-23T19:12:00.000Z", "type": "state", "level": "info", "message": NAME}
    canned.on("GET", "/jobs", make_page(job))
    canned.on("GET", path, job)
    canned.on("GET", f"{path}/epochs", make_page(*rows))
    canned.on("GET", f"{path}/events", make_page({**event, "attempt": 1, "data": {}}, next="1:1"))
    canned.on("GET", f"{path}/explain", {"sentences": [NAME], "text": NAME})
    canned.on("GET", f"{path}/training_log.csv", b"epoch,loss\n0,1.0\n")
    canned.on("GET", f"{path}/bundle.zip", archive.getvalue())
    canned.on("GET", f"{path}/checkpoints", make_page(model))
    canned.on("GET", f"{path}/checkpoints/m.keras", b"x")

    def run(arguments, environment, **streams):
        words = [job["id"] if word == "JOB" else word for word in arguments]
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))
        }
        return subprocess.run(
            [sys.executable, "-m", "fitstop.cli.main", "--url", canned.url, *words],
            env={**inherited, **environment},
            check=False,
            timeout=60,
            **streams,
        )

    return run


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_terminal_of_any_encoding_shows_what_it_can(service, tmp_path, command, encoding):
    done = service(COMMANDS[command], ENCODINGS[encoding], capture_output=True, cwd=tmp_path)
    assert b"Traceback" not in done.stderr
    assert done.returncode == (3 if command == "an error" else 0), done.stderr.decode(errors="replace")
    assert done.stdout or command == "an error"


@pytest.mark.parametrize("command", ["ps", "bundle"])
def test_a_closed_stdout_is_no_error(service, tmp_path, command):
    done = service(COMMANDS[command], {}, stderr=subprocess.PIPE, cwd=tmp_path, preexec_fn=lambda: os.close(1))
    assert b"Traceback" not in done.stderr
    assert done.returncode in {0, 3}


@pytest.mark.parametrize("command", ["ps", "plot"])
def test_a_full_stdout_is_said_in_one_line_and_by_the_status(service, tmp_path, command):
    with Path("/dev/full").open("wb") as full:
        done = service(COMMANDS[command], {}, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path)
    assert (done.returncode, b"Traceback" in done.stderr) == (9, False)
    assert b"No space left on device" in done.stderr


@pytest.mark.parametrize("command", ["ps", "plot"])
def test_a_reader_that_is_gone_is_no_news(service, tmp_path, command):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as cut:
        done = service(COMMANDS[command], {}, stdout=cut, stderr=subprocess.PIPE, cwd=tmp_path)
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    assert done.returncode in {1, 9}
