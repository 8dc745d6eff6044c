"""A child that has its attempt and never begins: its time is limited, and it obeys a cancel or a drain."""

import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from shared.job import AttemptEnd
from shared.settings import Settings
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from worker.ipc.kept_programs import KeptPrograms
from worker.supervisor.attempt import AttemptRun
from worker.supervisor.child import Child

GRACE_SECONDS = 0.5


def hangs(pipe: Connection) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pipe.send(None)
    while True:
        signal.pause()


@pytest.fixture
def child() -> Iterator[Child]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=hangs, args=(there,))
    process.start()
    there.close()
    child = Child(process, here, KeptPrograms(Path(), None), lambda: None)
    assert child.is_ready(120)
    yield child
    child.close()


@pytest.mark.parametrize(
    ("cause", "outcome", "code"),
    [("nothing", "handed_back", "no_child"), ("a drain", "handed_back", None), ("a cancel", "finished", None)],
)
def test_a_start_that_hangs_ends(volume: Volume, child: Child, cause: str, outcome: str, code: str | None) -> None:
    put_dataset(volume, learnable_frame(40))
    job = put_job(volume, small_spec())
    attempt = claim(job, 1)
    drain = threading.Event()
    if cause == "a drain":
        drain.set()
    if cause == "a cancel":
        job.request_cancel()
    limit = 1.0 if cause == "nothing" else 600.0
    settings = Settings(stop_grace_seconds=GRACE_SECONDS, child_start_seconds=limit, retry_backoff_seconds=0)
    began = time.monotonic()
    AttemptRun(attempt, began, volume, settings, drain).run(child)
    end = attempt.end()
    assert isinstance(end, AttemptEnd)
    assert (end.outcome, end.is_failure, end.error and end.error.code) == (outcome, False, code)
    assert time.monotonic() - began < 200
