"""A worker with a fault fails no job: a short form of `make sick-workers`."""

import random
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.job_folder import JobFolder
from shared.queue import JobQueue
from shared.volume import Volume
from tests.support.jobs import put_job, small_spec
from tests.support.redis import RedisServer
from tests.support.sickness import WAYS, Machine, freeze_the_child_that_stands_by, freeze_the_fork_server
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess

SMALL = small_spec(hyperparameters={"epochs": 2}, callbacks={"early_stopping": None})
HEALED = ["the fork server is killed", "the fork server is frozen", "the socket folder is removed"]


@pytest.fixture(scope="module")
def machine(
    shared_volume: Volume, shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    log = tmp_path_factory.mktemp("log") / "worker.log"
    # The path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory() as short:
        machine = Machine(Path(short))
        limit = {"FITSTOP_CHILD_START_SECONDS": "2"}
        machine.worker = WorkerProcess(shared_volume, shared_redis.url, log, **limit, **machine.environment)
        try:
            machine.worker.start()
            yield machine
        finally:
            machine.cure()
            machine.worker.stop()
            machine.kill_what_is_frozen()


def posted(volume: Volume, job_queue: JobQueue) -> JobFolder:
    job = put_job(volume, SMALL)
    job_queue.notify(job.id)
    return job


def codes(job: JobFolder) -> list[tuple[str, bool]]:
    """Return the code of each attempt's error, and whether it counts as a failure."""
    ends = [attempt.end() for attempt in job.attempts()]
    return [(end.error.code, end.is_failure) for end in ends if end and end.error]


def unfit(volume: Volume) -> str:
    return volume.worker_cards()[0].unfit


def test_a_worker_whose_own_disk_is_full_hands_back_says_so_and_trains_when_there_is_room(
    machine: Machine, shared_volume: Volume, shared_job_queue: JobQueue
) -> None:
    try:
        WAYS["the local disk is full"](machine)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"needs the right to mount a tmpfs: {error.stderr.decode().strip()}")
    job = posted(shared_volume, shared_job_queue)
    assert wait_for(lambda: unfit(shared_volume), 30)
    assert job.result() is None
    assert codes(job) in ([], [("worker_disk_full", False)])
    machine.cure()
    assert wait_for(job.result).ending.status == "succeeded"
    wait_for(lambda: not unfit(shared_volume))


# The last test with the worker that both of them share.
def test_a_worker_replaces_its_fork_server_fails_no_job_and_ends_while_all_of_it_is_frozen(
    machine: Machine, shared_volume: Volume, shared_job_queue: JobQueue
) -> None:
    assert machine.worker is not None
    for way in random.Random(14).sample(HEALED, 2):
        WAYS[way](machine)
        jobs = [posted(shared_volume, shared_job_queue) for _ in range(2)]
        for job in jobs:
            assert wait_for(job.result, saying=f"{way}, see {machine.worker.log}").ending.status == "succeeded"
            assert not [code for code, is_failure in codes(job) if is_failure]
    freeze_the_child_that_stands_by(machine)
    freeze_the_fork_server(machine)
    waiting = posted(shared_volume, shared_job_queue)
    machine.worker.send(signal.SIGTERM)
    assert machine.worker.wait(20) == 0
    assert waiting.attempts() == []
