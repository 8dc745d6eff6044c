"""Faults beside the job: garbage in the queue, a child that hangs, a volume that is full."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.events import job_events
from shared.job_folder import JobFolder
from shared.manifest import read_manifest
from shared.queue import QUEUE, JobQueue
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.redis import RedisServer
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess
from worker.training.resume.point import read_point

LONG = small_spec(hyperparameters={"epochs": 100_000}, callbacks={"early_stopping": None})


def trains(job: JobFolder, attempt: int = 1) -> bool:
    attempts = job.attempts()
    return len(attempts) >= attempt and attempts[attempt - 1].training_log.exists()


@pytest.fixture
def start(volume: Volume, redis_server: RedisServer, tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    started: list[WorkerProcess] = []

    def start_worker(on: Volume = volume, **environment: str) -> WorkerProcess:
        process = WorkerProcess(on, redis_server.url, tmp_path / "worker.log", **environment)
        started.append(process)
        process.start()
        return process

    yield start_worker
    for process in started:
        process.stop()


GARBAGE = [
    b"not json",
    b"\xff\xfe\x00",
    b"[]",
    b"5",
    b"{}",
    json.dumps({"body": "x", "headers": {}, "properties": {}}).encode(),
    json.dumps({"body": "!", "headers": {}, "properties": {"body_encoding": "base64", "delivery_tag": "1"}}).encode(),
    json.dumps({"body": "e30=", "content-type": "application/x-python-serialize", "content-encoding": "binary",
                "headers": {"task": "fitstop.ring", "id": "1"},
                "properties": {"body_encoding": "base64", "delivery_tag": "2", "delivery_info": {}}}).encode(),
    json.dumps({"body": "W10=", "content-type": "application/json", "content-encoding": "utf-8",
                "headers": {"task": "os.system", "id": "1", "lang": "py"},
                "properties": {"body_encoding": "base64", "delivery_tag": "3", "delivery_info": {}}}).encode(),
]  # fmt: skip


def test_what_is_no_notification_is_dropped_and_the_worker_lives(
    worker: WorkerProcess, shared_volume: Volume, shared_redis: RedisServer, shared_job_queue: JobQueue
) -> None:
    with shared_redis.client() as client:
        for item in GARBAGE:
            client.lpush(QUEUE, item)
    wait_for(lambda: shared_job_queue.count_pending() == 0, saying="all of it was taken from the list")
    job = put_job(shared_volume, small_spec())
    shared_job_queue.notify(job.id)
    assert wait_for(job.result).ending.status == "succeeded"
    assert worker.is_alive()
    assert worker.log.read_text().count("dropped an item of the queue") >= 6


def test_a_busy_worker_leaves_notifications_for_others(
    worker: WorkerProcess, shared_volume: Volume, shared_job_queue: JobQueue
) -> None:
    first = put_job(shared_volume, LONG)
    shared_job_queue.notify(first.id)
    wait_for(lambda: trains(first))
    waiting = [put_job(shared_volume, small_spec()) for _ in range(2)]
    for job in waiting:
        shared_job_queue.notify(job.id)
    beats = first.attempts()[0].heartbeat_file
    before = beats.read_bytes()
    wait_for(lambda: beats.read_bytes() != before, saying="time passes")
    pending = shared_job_queue.count_pending()
    assert pending is not None
    assert pending >= 2
    first.request_cancel()
    for job in [first, *waiting]:
        wait_for(job.result)


def test_a_child_that_hangs_is_killed_its_stacks_are_kept_and_the_job_is_retried(
    start: Callable[..., WorkerProcess], volume: Volume, job_queue: JobQueue
) -> None:
    put_dataset(volume, learnable_frame())
    worker = start(FITSTOP_HANG_SECONDS="1.5")
    job = put_job(volume, LONG)
    job_queue.notify(job.id)
    wait_for(lambda: trains(job) and job.attempts()[0].training_log.read_text().count("\n") > 30)
    os.kill(worker.training_process(), signal.SIGSTOP)
    end = wait_for(job.attempts()[0].end, 20)
    assert end.error is not None
    assert (end.error.code, end.is_failure) == ("hang", True)
    wait_for(lambda: any("from attempt 1" in placed.event.message for placed in job_events(job)))
    job.request_cancel()
    wait_for(job.result)


def test_a_stack_is_kept_where_a_live_child_is_aborted(
    worker: WorkerProcess, shared_volume: Volume, shared_job_queue: JobQueue
) -> None:
    job = put_job(shared_volume, LONG)
    shared_job_queue.notify(job.id)
    wait_for(lambda: trains(job) and job.attempts()[0].training_log.read_text().count("\n") > 3)
    os.kill(worker.training_process(), signal.SIGABRT)
    wait_for(job.attempts()[0].end)
    printed = job.attempts()[0].output_file.read_text()
    assert "Fatal Python error: Aborted" in printed
    assert "worker/training/run.py" in printed
    job.request_cancel()
    wait_for(job.result)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


def test_a_full_volume_loses_nothing_and_all_goes_on_when_there_is_space(
    start: Callable[..., WorkerProcess], small_disk: Path, job_queue: JobQueue
) -> None:
    volume = Volume(small_disk / "volume")
    put_dataset(volume, learnable_frame())
    worker = start(on=volume, FITSTOP_VOLUME_RESERVE_BYTES=str(1024**2))
    job = put_job(volume, small_spec(hyperparameters={"epochs": 400}, callbacks={"early_stopping": None}))
    job_queue.notify(job.id)
    wait_for(lambda: trains(job))
    wait_for(lambda: any(job.attempts()[0].resume.glob("point-*")))
    child = worker.training_process()
    ballast = fill(small_disk)
    wait_for(lambda: not Path(f"/proc/{child}").exists(), 30, saying="the child cannot go on")
    first = job.attempts()[0]
    for one in read_manifest(first.manifest_file).checkpoints:
        assert (first.checkpoints / one.name).stat().st_size == one.bytes
    for point in first.resume.glob("point-*"):
        read_point(point)
    ballast.unlink()
    result = wait_for(job.result, 90)
    assert result.ending.status == "succeeded"
    assert worker.is_alive()
    assert job.attempts()[-1].training_log.read_text().count("\n") == 401
    ends = [attempt.end() for attempt in job.attempts()]
    assert not any(end is None or end.is_failure for end in ends), ends
