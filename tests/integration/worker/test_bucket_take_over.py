"""Workers that share only a bucket: a frozen one gives way, and one that is asked to end hands its job back."""

import signal
from types import SimpleNamespace

import pytest

from tests.support.bucket import access_to
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess, is_running

LONG = small_spec(hyperparameters={"epochs": 100_000}, callbacks={"early_stopping": None})
QUICK = {"FITSTOP_BUCKET_SECONDS": "0.3", "FITSTOP_RESUME_SECONDS": "0.3"}
# A worker must not count as lost only because its machine is busy.
PATIENT = {
    "FITSTOP_HEARTBEAT_SECONDS": "0.5", "FITSTOP_SELF_STOP_SECONDS": "12", "FITSTOP_TAKE_OVER_SECONDS": "15",
}  # fmt: skip


@pytest.fixture
def store_kind():
    return "bucket"


@pytest.fixture
def start(machines, s3_server, tmp_path):
    started = []

    def start_worker(name):
        # A worker process needs only the volume's address.
        volume = SimpleNamespace(root=machines.address)
        environment = {"FITSTOP_DATA": str(tmp_path / name), **QUICK, **PATIENT}
        worker = WorkerProcess(volume, "none", tmp_path / f"{name}.log", **environment)
        started.append(worker)
        worker.begin()
        wait_for(lambda: "is ready" in worker.log.read_text(), 120, every=0.1, saying=f"{name} is ready")
        return worker

    with access_to(s3_server):
        yield start_worker
        for worker in started:
            worker.stop()


def test_a_frozen_worker_gives_way_and_one_that_is_asked_to_end_hands_back(volume, machines, start):
    put_dataset(volume, learnable_frame())
    machines.upload(volume.dataset_folder("grades"))
    job = put_job(volume, LONG)

    def attempt(number):
        machines.look()
        return next((one for one in job.attempts() if one.number == number), None)

    def trains(number):
        found = attempt(number)
        return found if found and found.training_log.exists() and any(found.resume.glob("point-*")) else None

    def end(number):
        return attempt(number).end()

    first = start("first")
    wait_for(lambda: trains(1), 60, every=0.2, saying="the first worker trains")
    first.send(signal.SIGSTOP)
    second = start("second")
    lost = wait_for(lambda: end(1), 60, every=0.2, saying="the second worker takes over")
    assert (lost.outcome, lost.error.code, lost.has_progress) == ("lost", "worker_lost", True)
    taken = wait_for(lambda: trains(2), 60, every=0.2, saying="the second worker trains")
    assert taken.claim().pid == second.pid
    assert '"resume"' in taken.events_file.read_text(), "it continues"

    first.send(signal.SIGCONT)
    wait_for(
        lambda: "attempt 1 belongs to another worker now" in first.log.read_text(), saying="the first worker gives way"
    )
    wait_for(lambda: not is_running(first.training_process()))
    assert end(1) == lost

    second.send(signal.SIGTERM)
    assert second.wait(60) == 0
    handed_back = end(2)
    assert (handed_back.outcome, handed_back.is_failure) == ("handed_back", False)
    again = wait_for(lambda: trains(3), 60, every=0.2, saying="the first worker trains again")
    assert again.claim().pid == first.pid
    job.request_cancel()
    machines.look()
    wait_for(lambda: machines.look() or job.result(), 60, every=0.2, saying="the job is cancelled")
    assert job.result().ending.status == "cancelled"
