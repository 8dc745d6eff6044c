"""A worker with a GPU that does not train: it stays, reports this, and takes no job."""

import signal
import sys
from pathlib import Path

import pytest

from shared.queue import JobQueue
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.redis import RedisServer
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess

# A worker whose driver reports a GPU. The trial is the real one, on a TensorFlow that finds no GPU.
ON_A_BROKEN_GPU = """
import sys, time
from pathlib import Path
import worker.machine.cards, worker.machine.device, worker.supervisor.main

def tried(nursery):
    while not Path(sys.argv[1]).exists():
        time.sleep(0.01)
    return True

worker.machine.device._gpu = lambda index: "NVIDIA H200"
worker.machine.cards._count = lambda: 1
worker.supervisor.main.Nursery.can_use_gpu = tried
sys.exit(worker.supervisor.main.main())
"""

ON_A_GPU_WITH_A_CPU_BUILD = """
import sys
import worker.machine.cards, worker.machine.device, worker.supervisor.main

worker.machine.device._gpu = lambda index: "NVIDIA H200"
worker.machine.cards._count = lambda: 1
sys.exit(worker.supervisor.main.main())
"""


@pytest.fixture
def worker(volume: Volume, redis_server: RedisServer, tmp_path: Path):
    process = WorkerProcess(volume, redis_server.url, tmp_path / "worker.log")
    process.command = [sys.executable, "-c", ON_A_BROKEN_GPU, str(tmp_path / "go on")]
    yield process
    process.stop()


def test_a_worker_whose_gpu_does_not_train_says_so_takes_no_job_and_ends_when_asked(
    volume: Volume, job_queue: JobQueue, tmp_path: Path, worker: WorkerProcess
) -> None:
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec())
    worker.begin()
    starting = wait_for(lambda: [card for card in volume.worker_cards() if not card.ready], 60)[0]
    assert (starting.device, starting.unfit) == ("NVIDIA H200", "")
    (tmp_path / "go on").touch()
    unfit = wait_for(lambda: [card for card in volume.worker_cards() if card.unfit], 60)[0]
    assert "its GPU failed to train two small models (this is the CPU build of TensorFlow" in unfit.unfit
    wait_for(lambda: "takes no jobs: its GPU failed" in worker.log.read_text())
    job_queue.notify(job.id)
    seen = volume.worker_cards()[0].seen_at
    wait_for(lambda: volume.worker_cards()[0].seen_at != seen, saying="another look at itself")
    assert job.attempts() == []
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert volume.worker_cards() == []


def test_a_worker_whose_tensorflow_cannot_use_the_gpu_names_the_gpu_that_stays_idle(
    volume: Volume, worker: WorkerProcess
) -> None:
    worker.command = [sys.executable, "-c", ON_A_GPU_WITH_A_CPU_BUILD]
    worker.begin()
    ready = wait_for(lambda: [card for card in volume.worker_cards() if card.ready], 60)[0]
    assert (ready.idle_gpu, ready.unfit) == ("NVIDIA H200", "")
    assert ready.device.startswith("CPU")
    assert "the NVIDIA H200 is idle" in worker.log.read_text()


def test_a_worker_that_is_asked_to_end_while_it_tries_its_gpu_leaves_no_card(
    volume: Volume, worker: WorkerProcess
) -> None:
    worker.begin()
    wait_for(volume.worker_cards, 60)
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert volume.worker_cards() == []
