"""Jobs through a real Redis, a real worker and real training children."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import keras
import pytest

from shared.events import job_events, last_event
from shared.history import JobReader
from shared.job_folder import JobFolder
from shared.ledger import ledger
from shared.manifest import read_manifest
from shared.queue import QUEUE, JobQueue
from shared.times import parse_time
from shared.volume import Volume
from tests.support.extending import content, extended
from tests.support.jobs import LONG, learnable_frame, put_dataset, put_job, rows_of, small_spec
from tests.support.redis import RedisServer
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess, descendants, is_running

BUDGET_SECONDS = 10.0


@pytest.fixture
def post(shared_volume: Volume, shared_job_queue: JobQueue, worker: WorkerProcess) -> Iterator["Post"]:
    poster = Post(shared_volume, shared_job_queue)
    yield poster
    poster.cancel_all()


class Post:
    """Posts jobs, notifies of them, and leaves none behind."""

    def __init__(self, volume: Volume, job_queue: JobQueue) -> None:
        self._volume = volume
        self._queue = job_queue
        self._jobs: list[JobFolder] = []

    def __call__(self, notify: bool = True, **parts: object) -> JobFolder:
        job = put_job(self._volume, small_spec(**parts))
        self._jobs.append(job)
        if notify:
            assert self._queue.notify(job.id)
        return job

    def cancel_all(self) -> None:
        for job in self._jobs:
            job.request_cancel()
        for job in self._jobs:
            wait_for(job.result, saying=f"{job.id} ends")


def status(job: JobFolder) -> str:
    state = job.state()
    assert state is not None
    return state.status


def is_training(job: JobFolder, attempt: int = 1, rows: int = 1) -> bool:
    attempts = job.attempts()
    if len(attempts) < attempt or not attempts[attempt - 1].training_log.exists():
        return False
    return attempts[attempt - 1].training_log.read_text().count("\n") > rows


def has_data(job: JobFolder, attempt: int) -> bool:
    attempts = job.attempts()
    return len(attempts) == attempt and last_event(attempts[-1], "data") is not None


def memory_map(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def test_no_process_below_the_worker_has_its_secrets(post: "Post", worker: WorkerProcess) -> None:
    job = post(**LONG)
    wait_for(lambda: is_training(job), 60, saying="the job trains")
    seen = {pid: Path(f"/proc/{pid}/environ").read_bytes() for pid in descendants(worker.pid)}
    assert worker.training_process() in seen
    assert [pid for pid, content in seen.items() if b"planted" in content or b"redis://" in content] == []
    own = seen[worker.training_process()]
    assert all(f"{name}=".encode() in own for name in ("PATH", "HOME", "FITSTOP_HEARTBEAT_SECONDS"))


def test_a_job_that_is_announced_trains_and_succeeds(post: Post, shared_volume: Volume) -> None:
    job = post()
    result = wait_for(job.result)
    assert result.ending.status == "succeeded"
    assert result.attempt == 1
    attempt = job.attempts()[0]
    assert len(rows_of(attempt.training_log)) == 4
    assert read_manifest(attempt.manifest_file).best is not None
    assert wait_for(lambda: job.id not in [marker.job_id for marker in shared_volume.open_jobs()])


def test_a_spawned_child_trains_as_a_forked_one_does(
    post: Post, volume: Volume, redis_server: RedisServer, tmp_path: Path
) -> None:
    put_dataset(volume, learnable_frame())
    spawning = WorkerProcess(volume, redis_server.url, tmp_path / "worker.log", FITSTOP_CHILD_START="spawn")
    spawning.start()
    try:
        jobs = [post(), put_job(volume, small_spec())]
        assert [wait_for(job.result).ending.status for job in jobs] == ["succeeded"] * 2
    finally:
        spawning.stop()
    forked, spawned = (job.attempts()[0].training_log.read_bytes() for job in jobs)
    assert forked == spawned


def test_a_job_whose_notification_was_lost_is_found_by_the_sweep(post: Post) -> None:
    job = post(notify=False)
    assert wait_for(job.result, 30).ending.status == "succeeded"


def test_ten_notifications_for_one_job_start_one_attempt(post: Post, shared_job_queue: JobQueue) -> None:
    job = post()
    for _ in range(9):
        shared_job_queue.notify(job.id)
    assert wait_for(job.result).ending.status == "succeeded"
    wait_for(lambda: shared_job_queue.count_pending() == 0)
    assert len(job.attempts()) == 1


def test_three_jobs_on_one_slot_run_one_after_the_other_in_order(post: Post) -> None:
    jobs = [post() for _ in range(3)]
    results = [wait_for(job.result) for job in jobs]
    claims = [job.attempts()[0].claim() for job in jobs]
    starts = [parse_time(claim.claimed_at) for claim in claims if claim is not None]
    ends = [parse_time(result.finished_at) for result in results]
    assert starts == sorted(starts)
    assert all(end <= start for end, start in zip(ends[:-1], starts[1:], strict=True))


def test_an_urgent_job_goes_before_those_that_came_earlier(post: Post) -> None:
    running = post(**LONG)
    wait_for(lambda: is_training(running))
    late = post(priority=7)
    urgent = post(priority=0)
    running.request_cancel()
    late_claim = wait_for(lambda: late.attempts() and late.attempts()[0].claim())
    urgent_claim = urgent.attempts()[0].claim()
    assert urgent_claim is not None
    assert parse_time(urgent_claim.claimed_at) < parse_time(late_claim.claimed_at)


def test_a_cancelled_job_stops_within_two_seconds_and_keeps_its_checkpoints(post: Post) -> None:
    job = post(**LONG)
    wait_for(lambda: is_training(job, rows=3))
    asked = parse_time(job.request_cancel().requested_at)
    result = wait_for(job.result)
    assert result.ending.status == "cancelled"
    assert (parse_time(result.finished_at) - asked).total_seconds() < 2
    attempt = job.attempts()[0]
    kept = read_manifest(attempt.manifest_file).checkpoints
    assert kept
    assert all((attempt.checkpoints / one.name).stat().st_size == one.bytes for one in kept)
    assert result.ending.stop is not None
    assert result.ending.stop.reason == "cancelled"
    assert result.ending.stop.last_epoch >= 3


def test_a_job_that_is_cancelled_in_the_queue_never_trains(post: Post) -> None:
    running = post(**LONG)
    wait_for(lambda: is_training(running))
    waiting = post()
    waiting.request_cancel()
    assert wait_for(waiting.result).ending.status == "cancelled"
    assert waiting.attempts() == []
    assert status(running) == "running"


def test_a_killed_child_leaves_the_worker_alive_and_the_job_ends_well(post: Post, worker: WorkerProcess) -> None:
    job = post(hyperparameters={"epochs": 60, "engine": "stock"})
    wait_for(lambda: is_training(job))
    os.kill(worker.training_process(), signal.SIGKILL)
    end = wait_for(job.attempts()[0].end)
    assert (end.outcome, end.is_failure) == ("lost", False)
    assert end.error is not None
    assert end.error.code == "killed"
    assert wait_for(job.result).ending.status == "succeeded"
    assert worker.is_alive()
    assert len(job.attempts()) == 2
    told = [placed.event.message for placed in job_events(job)]
    assert any("queued again" in message and "SIGKILL" in message for message in told)


def test_a_job_that_kills_each_of_its_children_fails_after_three(
    post: Post, worker: WorkerProcess, shared_volume: Volume
) -> None:
    # In one epoch that lasts for minutes: after a resume point the count would start again at zero.
    put_dataset(shared_volume, learnable_frame(40_000), "endless")
    endless = {"epochs": 1, "batch_size": 1, "engine": "stock", "xla": False}
    job = post(dataset={"id": "endless"}, hyperparameters=endless)
    for number in (1, 2, 3):
        wait_for(lambda number=number: has_data(job, number))
        os.kill(worker.training_process(), signal.SIGSEGV)
    ending = wait_for(job.result).ending
    assert ending.status == "failed"
    assert ending.error is not None
    assert ending.error.code == "crash"
    assert "3 failed attempts" in ending.error.message
    assert len(job.attempts()) == 3


def test_a_dataset_that_changed_since_the_post_is_refused(post: Post, shared_volume: Volume) -> None:
    path = shared_volume.data_file("grades")
    content = path.read_bytes()
    job = post(notify=False)
    path.write_bytes(content + b"x")
    try:
        ending = wait_for(job.result).ending
    finally:
        path.write_bytes(content)
    assert ending.error is not None
    assert (ending.status, ending.error.code) == ("failed", "data_changed")
    assert len(job.attempts()) == 1


def test_the_worker_process_never_imports_keras(worker: WorkerProcess) -> None:
    assert "tensorflow" not in memory_map(worker.pid)
    assert [pid for pid in descendants(worker.pid) if "tensorflow" in memory_map(pid)], "so the look can tell"


def test_the_fork_server_has_one_thread_and_so_has_the_child_that_stands_by(worker: WorkerProcess) -> None:
    both = [pid for pid in descendants(worker.pid) if "tensorflow" in memory_map(pid)]
    assert [len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in both] == [1, 1]


def test_no_child_is_left_behind(post: Post, worker: WorkerProcess) -> None:
    job = post()
    wait_for(job.result)
    child = worker.training_process()
    wait_for(lambda: not is_running(child))


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
    wait_for(lambda: is_training(first, rows=0))
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


def test_a_stack_is_kept_where_a_live_child_is_aborted(
    worker: WorkerProcess, shared_volume: Volume, shared_job_queue: JobQueue
) -> None:
    job = put_job(shared_volume, LONG)
    shared_job_queue.notify(job.id)
    wait_for(lambda: is_training(job, rows=3))
    os.kill(worker.training_process(), signal.SIGABRT)
    wait_for(job.attempts()[0].end)
    printed = job.attempts()[0].output_file.read_text()
    assert "Fatal Python error: Aborted" in printed
    assert "worker/training/run.py" in printed
    job.request_cancel()
    wait_for(job.result)


def test_a_job_ends_within_its_budget_with_its_best_model_and_goes_on_in_one_unbroken_log(
    shared_volume: Volume, shared_job_queue: JobQueue, worker: WorkerProcess
) -> None:
    first = put_job(shared_volume, {**LONG, "budget": {"max_gpu_seconds": BUDGET_SECONDS}})
    shared_job_queue.notify(first.id)
    wait_for(first.result, 120)
    result = first.result()
    assert result is not None
    stop = result.ending.stop
    assert stop is not None
    assert (result.ending.status, stop.reason) == ("succeeded", "budget")
    assert stop.budget is not None
    assert stop.budget.limit == BUDGET_SECONDS
    manifest = read_manifest(first.attempts()[0].manifest_file)
    keras.models.load_model(first.attempts()[0].checkpoints / str(manifest.best))
    history = JobReader(first).read_on()
    assert history is not None
    held = ledger(history)
    assert held.avoided == 0, "the epochs were wanted"

    before = content(first.path)
    second = extended(shared_volume, first, budget=None, epochs=stop.last_epoch + 3)
    shared_job_queue.notify(second.id)
    wait_for(second.result)
    log = second.attempts()[-1].training_log
    assert rows_of(log)["epoch"].tolist() == list(range(stop.last_epoch + 3))
    assert log.read_bytes().startswith(before["attempts/1/training_log.csv"])
    assert content(first.path) == before
