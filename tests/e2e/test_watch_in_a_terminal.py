"""`fitstop watch` in a real terminal, on the real service."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from fitstop.client import Client
from tests.support.waiting import wait_for


@pytest.fixture
def long_job(stack, tmp_path):
    """A job that runs until the end of the test cancels it."""
    (tmp_path / "rows.csv").write_text("a,b\n" + "".join(f"{n % 7},{int(n % 7 > 3)}\n" for n in range(200)))
    with Client(stack.connection) as client:
        client.put_dataset("rows", tmp_path / "rows.csv")
        spec = {"dataset": {"id": "rows", "target": "b"}, "callbacks": {"early_stopping": {"patience": 99_999}}}
        # The epochs of the stock engine are slow enough for a person to watch.
        job_id = client.submit({**spec, "hyperparameters": {"epochs": 100_000, "engine": "stock"}})["id"]
        yield client, job_id
        client.cancel(job_id)
        wait_for(lambda: client.job(job_id)["status"] == "cancelled", 30)


def test_it_draws_a_picture_and_ctrl_c_leaves_the_job_running(stack, long_job):
    client, job_id = long_job
    leader, terminal = pty.openpty()
    watching = subprocess.Popen(
        [sys.executable, "-m", "fitstop.cli.main", "--url", stack.url, "watch", job_id],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={
            "PATH": os.environ["PATH"],
            "TERM": "xterm",
            "COLUMNS": "80",
            "LANG": "C.UTF-8",
            "FITSTOP_API_KEY": stack.api_key,
        },
    )
    os.close(terminal)
    seen = _read_until(leader, b"", "saved model-")
    seen = _read_until(leader, seen, "of 99999 used")
    watching.send_signal(signal.SIGINT)
    seen = _read_until(leader, seen, f"fitstop cancel {job_id}").decode()
    assert watching.wait(120) == 0
    os.close(leader)
    assert "━" in seen
    assert "saved model-" in seen
    assert f"  fitstop watch {job_id}" in seen
    assert client.job(job_id)["status"] == "running"


def _read_until(descriptor: int, seen: bytes, words: str) -> bytes:
    while words.encode() not in seen:
        seen += os.read(descriptor, 4096)
    return seen
