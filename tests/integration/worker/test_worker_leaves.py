"""A worker that ends by itself: nothing to do, or nothing to train on."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.queue import JobQueue
from shared.volume import Volume
from tests.support.jobs import LONG, learnable_frame, put_dataset, put_job, small_spec
from tests.support.redis import RedisServer
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess

# A worker with a file as its driver, which reports the GPU until the file is removed. All else is the real worker.
ON_A_GPU = """
import sys
from pathlib import Path
import worker.machine.cards, worker.machine.device, worker.supervisor.main, worker.machine.trial

def gpu(index):
    try:
        return Path(sys.argv[1]).read_text()
    except FileNotFoundError:
        raise worker.machine.device.DeviceUnusable("Unknown Error") from None

worker.machine.device._gpu = gpu
worker.machine.cards._count = lambda: 1
worker.supervisor.main.Nursery.can_use_gpu = lambda nursery: True
worker.supervisor.main.try_training = lambda place: worker.machine.trial.Trial()
sys.exit(worker.supervisor.main.main())
"""


@pytest.fixture
def started():
    processes: list[WorkerProcess] = []
    yield processes
    for process in processes:
        process.stop()


def test_a_worker_with_nothing_to_do_finishes_its_job_runs_the_hook_and_ends(
    volume: Volume, redis_server: RedisServer, tmp_path: Path, started
) -> None:
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec())
    # The limit is reached before the first notification can come: the waiting job keeps the worker.
    worker = WorkerProcess(
        volume, redis_server.url, tmp_path / "worker.log", FITSTOP_IDLE_EXIT_SECONDS="0.01",
        FITSTOP_IDLE_HOOK=f"echo stopped > {tmp_path}/hook.txt",
    )  # fmt: skip
    started.append(worker)
    worker.start()
    assert wait_for(job.result).ending.status == "succeeded"
    assert worker.wait(60) == 0
    assert volume.worker_cards() == []
    assert (tmp_path / "hook.txt").read_text() == "stopped\n"


def test_a_worker_that_loses_its_gpu_hands_its_job_back_and_ends_to_be_started_again(
    volume: Volume, redis_server: RedisServer, job_queue: JobQueue, tmp_path: Path, started
) -> None:
    put_dataset(volume, learnable_frame())
    gpu = tmp_path / "gpu"
    gpu.write_text("NVIDIA H200")
    worker = WorkerProcess(volume, redis_server.url, tmp_path / "worker.log")
    worker.command = [sys.executable, "-c", ON_A_GPU, str(gpu)]
    started.append(worker)
    worker.start()
    job = put_job(volume, LONG)
    job_queue.notify(job.id)
    wait_for(lambda: job.attempts() and job.attempts()[0].training_log.exists())
    claim = job.attempts()[0].claim()
    assert claim is not None
    assert claim.device == "NVIDIA H200"
    gpu.unlink()
    assert worker.wait(60) == 1
    end = job.attempts()[0].end()
    assert end is not None
    assert (end.outcome, end.is_failure) == ("handed_back", False)
    again = subprocess.run(worker.command, env=worker.environment, capture_output=True, timeout=120, check=False)
    assert again.returncode == 2
    assert b"the worker cannot start: Unknown Error" in again.stderr
