"""A volume that is full, read-only or unavailable costs no job: the queue waits, and continues by itself.

The short form of `python -m proofs.full_volume`.
"""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.job_folder import JobFolder
from shared.manifest import read_manifest
from shared.queue import JobQueue
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.jobs import LONG, learnable_frame, put_dataset, put_job, small_spec
from tests.support.redis import RedisServer
from tests.support.small_disk import NoMount, SmallDisk
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess
from worker.training.resume.point import read_point

MB = 1024**2
# A resume point of 6 MB.
LARGE = small_spec(
    model={"layers": [700, 700]}, hyperparameters={"epochs": 100_000, "xla": False}, callbacks={"early_stopping": None}
)
SETTINGS = {"FITSTOP_VOLUME_RESERVE_BYTES": str(8 * MB)}


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    try:
        small = SmallDisk(tmp_path_factory.mktemp("disk") / "volume", 96 * MB)
    except NoMount as error:
        pytest.skip(f"needs the right to mount a tmpfs: {error}")
    yield small
    small.close()


@pytest.fixture(scope="module")
def volume(disk: SmallDisk) -> Volume:
    volume = Volume(disk.folder)
    put_dataset(volume, learnable_frame())
    return volume


@pytest.fixture(scope="module")
def small_worker(
    volume: Volume, shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    process = WorkerProcess(volume, shared_redis.url, tmp_path_factory.mktemp("log") / "worker.log", **SETTINGS)
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def api(volume: Volume, shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    process = ApiProcess(volume, shared_redis.url, tmp_path_factory.mktemp("log") / "api.log", **SETTINGS)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def post(
    volume: Volume, small_worker: WorkerProcess, shared_job_queue: JobQueue
) -> Callable[[dict[str, Any]], JobFolder]:
    def put(spec: dict[str, Any]) -> JobFolder:
        job = put_job(volume, spec)
        shared_job_queue.notify(job.id)
        return job

    return put


def has_saved(job: JobFolder) -> bool:
    attempts = job.attempts()
    return bool(attempts) and any(attempts[0].resume.glob("point-*"))


def paused(log: Path, times: int) -> bool:
    return log.read_text().count("no job is claimed for now") >= times


def no_failure(*jobs: JobFolder) -> None:
    for job in jobs:
        ends = [end for attempt in job.attempts() if (end := attempt.end()) is not None]
        assert not any(end.is_failure for end in ends), ends
        assert {end.outcome for end in ends} <= {"handed_back", "finished"}, ends


def all_succeed(*jobs: JobFolder) -> None:
    for job in jobs:
        assert wait_for(job.result, 60).ending.status == "succeeded"
    no_failure(*jobs)


def test_a_full_volume_fails_no_job_and_all_end_after_there_is_room(
    disk: SmallDisk, volume: Volume, api: ApiProcess, post: Callable[[dict[str, Any]], JobFolder]
) -> None:
    running = post(LARGE)
    wait_for(lambda: has_saved(running))
    queued = [post(small_spec()) for _ in range(2)]
    # Room for a resume point, but not beside the reserve.
    disk.fill(leave_bytes=12 * MB)
    end = wait_for(running.attempts()[0].end, 30)
    assert disk.free_bytes >= 8 * MB
    assert (end.outcome, end.error.code if end.error else None) == ("handed_back", "volume_full")
    wait_for(lambda: any(card.paused for card in volume.worker_cards()), saying="the worker's card says why it waits")
    disk.fill()
    answer = wait_for(lambda: (found := api.ask("GET", "/readyz")).status == 503 and found)
    assert answer.json["checks"]["volume"]["ok"] is False
    assert [attempt.number for attempt in running.attempts()] == [1], "nothing is claimed on a full volume"
    assert not any(job.attempts() for job in queued)
    assert {one["waits"]["reason"] for one in api.ask("GET", "/queue").json["data"]} <= {"volume", "backoff"}
    disk.free()
    wait_for(lambda: len(running.attempts()) == 2 and running.attempts()[1].training_log.exists())
    running.request_cancel()
    all_succeed(*queued)
    assert wait_for(running.result).ending.status == "cancelled"
    no_failure(running)
    last = running.attempts()[-1]
    for one in read_manifest(last.manifest_file).checkpoints:
        assert (last.checkpoints / one.name).stat().st_size == one.bytes
    wait_for(lambda: api.ask("GET", "/readyz").status == 200)


def test_on_a_read_only_volume_jobs_wait(
    disk: SmallDisk, volume: Volume, small_worker: WorkerProcess, shared_job_queue: JobQueue
) -> None:
    pauses = small_worker.log.read_text().count("no job is claimed for now")

    def is_read_only() -> bool:
        """Whether the disk is read-only now. The worker is stopped: it would claim the job or may write a file."""
        small_worker.send(signal.SIGSTOP)
        try:
            disk.make_read_only()
        except NoMount:
            small_worker.send(signal.SIGCONT)
            return False
        return True

    small_worker.send(signal.SIGSTOP)
    job = put_job(volume, small_spec())
    wait_for(is_read_only)
    small_worker.send(signal.SIGCONT)
    shared_job_queue.notify(job.id)
    wait_for(lambda: paused(small_worker.log, pauses + 1))
    assert job.attempts() == []
    disk.make_writable()
    all_succeed(job)


def test_a_volume_that_is_mounted_away_answers_503_and_its_running_job_is_resumed(
    disk: SmallDisk, small_worker: WorkerProcess, api: ApiProcess, post: Callable[[dict[str, Any]], JobFolder]
) -> None:
    job = post(LONG)
    wait_for(lambda: has_saved(job))
    pauses = small_worker.log.read_text().count("no job is claimed for now")
    disk.take_away()
    try:
        for method, path, body in (
            ("GET", f"/jobs/{job.id}", None),
            ("GET", "/jobs", None),
            ("GET", "/datasets/grades", None),
            ("POST", "/jobs", small_spec()),
            ("PUT", "/datasets/new", b"a,b\n1,2\n3,4\n"),
        ):
            answer = api.ask(method, path, body)
            assert (answer.status, answer.json["code"]) == (503, "volume_unavailable"), (method, path, answer.body)
            assert int(answer.headers["Retry-After"]) > 0
        assert api.ask("GET", "/readyz").json["checks"]["volume"]["ok"] is False
        wait_for(lambda: paused(small_worker.log, pauses + 1))
        wait_for(lambda: "cannot be written yet" in small_worker.log.read_text().rpartition("for now")[2], 30)
    finally:
        made = disk.bring_back()
    assert made == [], "nothing is made in the bare mount point"
    end = wait_for(job.attempts()[0].end, 30)
    assert (end.outcome, end.error.code if end.error else None) == ("handed_back", "volume_error")
    wait_for(lambda: len(job.attempts()) == 2 and job.attempts()[1].training_log.exists())
    assert api.ask("GET", f"/jobs/{job.id}").json["status"] == "running"
    job.request_cancel()
    assert wait_for(job.result).ending.status == "cancelled"
    no_failure(job)


def test_a_volume_that_fills_up_under_a_run_tears_no_file_and_the_log_continues_when_there_is_room(
    disk: SmallDisk, small_worker: WorkerProcess, post: Callable[[dict[str, Any]], JobFolder]
) -> None:
    job = post(small_spec(hyperparameters={"epochs": 400}, callbacks={"early_stopping": None}))
    wait_for(lambda: has_saved(job))
    child = small_worker.training_process()
    disk.fill()
    wait_for(lambda: not Path(f"/proc/{child}").exists(), 30, saying="the child cannot continue")
    first = job.attempts()[0]
    for one in read_manifest(first.manifest_file).checkpoints:
        assert (first.checkpoints / one.name).stat().st_size == one.bytes
    for point in first.resume.glob("point-*"):
        read_point(point)
    disk.free()
    all_succeed(job)
    assert small_worker.is_alive()
    assert job.attempts()[-1].training_log.read_text().count("\n") == 401
