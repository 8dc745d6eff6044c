"""The patrol of every worker: nothing waits for an operator."""

import json
import os
import time

import pytest

from shared.durable import encode, read_bytes, replace_file
from shared.job import AttemptEnd, ProcessIdentity
from shared.queue import QUEUE, RedisQueue, make_celery
from shared.settings import Settings
from shared.times import time_in, utc_now
from shared.worker_card import RunningAttempt, WorkerCard
from tests.support.redis import free_port, redis_program, running_redis
from tests.support.waiting import wait_for
from tests.unit.shared.records import claim, finished, handed_back, posted, taken
from worker.ipc.beat import Beat, write_beat
from worker.supervisor.heartbeat import Heartbeat
from worker.supervisor.patrol import Sweeper

QUICK = {"take_over_seconds": 1.0, "self_stop_seconds": 0.9, "heartbeat_seconds": 0.02, "retry_backoff_seconds": 0}
SOON = 30

pytestmark = pytest.mark.both_stores


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    if redis_program() is None:
        pytest.skip("there is no redis-server here")
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def job_queue(redis_server):
    with redis_server.client() as client:
        client.flushall()
    return RedisQueue(make_celery(Settings(redis_url=redis_server.url)))


@pytest.fixture
def notified(redis_server):
    """Return the jobs that have a notification in Redis."""

    def read():
        with redis_server.client() as client:
            messages = [json.loads(one) for one in client.lrange(QUEUE, 0, -1)]
        return sorted(one["headers"]["argsrepr"].strip("['],()") for one in messages)

    return read


@pytest.fixture
def patrol(machines):
    """Make workers on their own machines; all look at the bucket before and after each sweep."""

    def make(job_queue, **settings):
        sweeper = Sweeper(machines.add(), job_queue, Settings(**{**QUICK, **settings}))
        ours = sweeper.sweep

        def sweep():
            machines.look()
            ours()
            machines.look()
            return True

        sweeper.sweep = sweep
        return sweeper

    return make


@pytest.fixture
def sweeper(patrol, job_queue):
    return patrol(job_queue, max_losses=2)


def swept(sweeper, what):
    return wait_for(lambda: sweeper.sweep() and what(), SOON)


def test_a_silent_attempt_is_ended_as_lost_and_its_job_comes_back(volume, sweeper, notified):
    job = posted(volume)
    attempt = taken(job)
    replace_file(attempt.heartbeat_file, encode({"version": 1, "count": 7}))
    end = swept(sweeper, attempt.end)
    assert (end.outcome, end.is_failure, end.error.code) == ("lost", False, "worker_lost")
    assert job.state().status == "queued"
    sweeper.sweep()
    assert notified() == [job.id]


def test_an_attempt_that_never_beat_is_lost_too(volume, sweeper):
    attempt = taken(posted(volume))
    end = swept(sweeper, attempt.end)
    assert (end.outcome, end.held_seconds) == ("lost", QUICK["heartbeat_seconds"])


def test_a_lost_attempt_held_its_gpu_until_its_last_beat_and_one_interval_more(volume, sweeper):
    attempt = taken(posted(volume))
    write_beat(attempt, Beat(7, began=1.0, elapsed=5.0))
    assert swept(sweeper, attempt.end).held_seconds == 5.02


@pytest.mark.folder_only("by the real clock: a bucket may answer late; `clock` tells the rest")
def test_an_attempt_that_beats_is_left_alone(volume, sweeper):
    beating, silent = taken(posted(volume)), taken(posted(volume))
    with Heartbeat(beating, Settings(**QUICK), time.monotonic()):
        for _ in range(2):  # each silent attempt is swept until it is lost
            swept(sweeper, silent.end)
            silent = taken(silent.job, silent.number + 1) if silent.job.result() is None else silent
        assert beating.end() is None
        assert beating.job.state().status == "running"


def test_nobody_is_lost_at_the_first_look_whatever_the_clocks_say(volume, patrol, job_queue):
    attempt = taken(posted(volume))
    patrol(job_queue, take_over_seconds=1e-9).sweep()
    assert attempt.end() is None


def test_a_job_that_is_lost_too_often_has_failed(volume, sweeper, notified):
    job = posted(volume)
    first = taken(job)
    swept(sweeper, first.end)
    second = taken(job, 2)
    end = swept(sweeper, second.end)
    assert end.ending.status == "failed"
    sweeper.sweep()
    assert job.state().status == "failed"
    assert list(volume.open_jobs()) == []


def test_of_two_sweeps_one_ends_the_attempt_and_it_counts_once(volume, patrol, job_queue):
    job = posted(volume)
    attempt = taken(job)
    sweepers = [patrol(job_queue) for _ in range(2)]
    end = wait_for(lambda: [one.sweep() for one in sweepers] and attempt.end(), SOON)
    for one in sweepers:
        one.sweep()
    assert attempt.end() == end
    assert [one.number for one in job.attempts()] == [1]


def test_a_beat_that_is_seen_begins_the_wait_anew(volume, sweeper, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("worker.supervisor.patrol.time.monotonic", lambda: now[0])
    attempt = taken(posted(volume))
    for count in range(5):
        replace_file(attempt.heartbeat_file, encode({"version": 1, "count": count}))
        now[0] += 0.9
        sweeper.sweep()
        now[0] += 0.9
        sweeper.sweep()
    assert attempt.end() is None
    now[0] += 0.2
    sweeper.sweep()
    assert attempt.end().outcome == "lost"


def test_a_beat_that_came_while_the_volume_was_slow_is_as_young_as_the_read(volume, sweeper, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("worker.supervisor.patrol.time.monotonic", lambda: now[0])
    attempt = taken(posted(volume))

    def slow(path):
        now[0] += 5
        return read_bytes(path)

    replace_file(attempt.heartbeat_file, encode({"version": 1, "count": 1}))
    monkeypatch.setattr("worker.supervisor.patrol.read_bytes", slow)
    sweeper.sweep()
    monkeypatch.setattr("worker.supervisor.patrol.read_bytes", read_bytes)
    now[0] += 0.9
    sweeper.sweep()
    assert attempt.end() is None
    now[0] += 0.2
    sweeper.sweep()
    assert attempt.end().outcome == "lost"


def test_what_an_attempt_decided_becomes_the_jobs_result(volume, sweeper):
    job = posted(volume)
    taken(job).close(finished("succeeded"))
    sweeper.sweep()
    assert job.state().status == "succeeded"
    assert list(volume.open_jobs()) == []


def test_jobs_that_wait_and_that_no_notification_names_are_announced_once(volume, sweeper, notified):
    jobs = sorted(posted(volume).id for _ in range(3))
    for _ in range(3):
        sweeper.sweep()
    assert notified() == jobs


def test_a_job_that_must_wait_is_not_announced(volume, sweeper, notified):
    later = AttemptEnd(outcome="failed", ended_at=utc_now(), is_failure=True, retry_at=time_in(250))
    taken(posted(volume)).close(later)
    taken(posted(volume)).close(handed_back())
    sweeper.sweep()
    assert len(notified()) == 1


def test_lost_notifications_are_sent_again(volume, sweeper, notified, redis_server):
    job = posted(volume)
    sweeper.sweep()
    with redis_server.client() as client:
        client.flushall()
    sweeper.sweep()
    assert notified() == [job.id]


def test_without_redis_lost_attempts_are_still_ended_and_results_still_written(volume, patrol):
    nowhere = RedisQueue(make_celery(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0")))
    sweeper = patrol(nowhere)
    decided, silent = posted(volume), taken(posted(volume))
    taken(decided).close(finished("succeeded"))
    assert swept(sweeper, silent.end).outcome == "lost"
    assert decided.state().status == "succeeded"


@pytest.mark.parametrize("damaged", ["spec_file", "end_file"])
def test_a_damaged_job_keeps_nobody_else_waiting(volume, patrol, job_queue, damaged):
    sweeper = patrol(job_queue)
    broken = posted(volume, priority=0)
    first = taken(broken)
    first.close(handed_back())
    taken(broken, 2)
    replace_file(broken.spec_file if damaged == "spec_file" else first.end_file, b"{")
    sound = taken(posted(volume, priority=9))
    assert swept(sweeper, sound.end).outcome == "lost"


# A worker whose process has ended on this machine


HERE = ProcessIdentity(machine="this boot", pid=1, started=1)
CHILD = ProcessIdentity(machine="this boot", pid=2, started=1)


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("worker.supervisor.patrol.time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def gone(monkeypatch):
    ended = set()
    monkeypatch.setattr(
        "worker.supervisor.patrol.is_gone", lambda process: process is not None and process.pid in ended
    )
    return ended


def claimed_by(volume, process):
    attempt = posted(volume).take(claim().model_copy(update={"process": process}))
    replace_file(attempt.heartbeat_file, encode({"version": 1, "count": 1}))
    return attempt


def look_twice(sweeper, clock, seconds):
    sweeper.sweep()
    clock[0] += seconds
    sweeper.sweep()


def test_an_attempt_whose_worker_has_ended_here_is_lost_after_a_beat_that_did_not_come(volume, sweeper, clock, gone):
    attempt = claimed_by(volume, HERE)
    attempt.name_process(CHILD)
    gone |= {1, 2}
    look_twice(sweeper, clock, 0.025)
    assert attempt.end() is None, "its beat may be on its way"
    clock[0] += 0.006
    sweeper.sweep()
    end = attempt.end()
    assert (end.outcome, end.error.code) == ("lost", "worker_lost")
    assert "ended without a report" in end.error.message


def test_a_worker_that_beats_is_there_whatever_its_process_looks_like(volume, sweeper, clock, gone):
    attempt = claimed_by(volume, HERE)
    gone |= {1}
    for count in range(2, 5):
        look_twice(sweeper, clock, 0.025)
        replace_file(attempt.heartbeat_file, encode({"version": 1, "count": count}))
        clock[0] += 0.025
    assert attempt.end() is None


def test_while_the_training_process_lives_nobody_takes_over_before_the_time(volume, sweeper, clock, gone):
    attempt = claimed_by(volume, HERE)
    attempt.name_process(CHILD)
    gone |= {1}
    look_twice(sweeper, clock, 0.9)
    assert attempt.end() is None
    gone |= {2}
    sweeper.sweep()
    assert attempt.end().outcome == "lost"


def test_a_training_process_that_no_bucket_names_may_still_live(volume, machines, sweeper, clock, gone):
    attempt = claimed_by(volume, HERE)
    gone |= {1}
    look_twice(sweeper, clock, 0.9)
    assert (attempt.end() is None) == machines.has_bucket
    clock[0] += 0.2
    sweeper.sweep()
    assert attempt.end().outcome == "lost"


@pytest.mark.parametrize("process", [None, HERE])
def test_a_worker_of_another_machine_or_of_an_older_version_has_its_time(volume, sweeper, clock, process):
    attempt = claimed_by(volume, process)
    look_twice(sweeper, clock, 0.9)
    assert attempt.end() is None
    clock[0] += 0.2
    sweeper.sweep()
    assert attempt.end().outcome == "lost"


@pytest.fixture
def file_operations(monkeypatch):
    """Count the calls of open, stat, scandir and listdir."""
    counts = [0]

    def count(function):
        def counted(*arguments, **options):
            counts[0] += 1
            return function(*arguments, **options)

        return counted

    for name in ("open", "stat", "scandir", "listdir"):
        monkeypatch.setattr(os, name, count(getattr(os, name)))
    return counts


class QuietQueue:
    def __init__(self, pending=0):
        self.notified = []
        self._pending = pending

    def notify(self, *job_ids):
        self.notified.extend(job_ids)

    def count_pending(self):
        return self._pending


@pytest.mark.folder_only("counts the calls of a filesystem")
def test_a_look_at_a_long_queue_costs_no_more_than_one_at_a_short_queue(volume, file_operations):
    for _ in range(600):
        posted(volume)
    job_queue = QuietQueue()
    sweeper = Sweeper(volume, job_queue, Settings(**QUICK))
    file_operations[0] = 0
    sweeper.sweep()
    assert file_operations[0] < 300
    assert len(job_queue.notified) == 50
    waiting = [job.job_id for job in volume.open_jobs()]
    assert job_queue.notified == waiting[:50]


@pytest.mark.folder_only("450 jobs take long to post to a bucket, and which of them a sweep looks at its folder says")
@pytest.mark.parametrize("has_card", [True, False])
def test_an_attempt_deep_in_a_long_queue_is_ended_as_lost_all_the_same(volume, monkeypatch, has_card):
    now = [0.0]
    monkeypatch.setattr("worker.supervisor.patrol.time.monotonic", lambda: now[0])
    jobs = [posted(volume) for _ in range(450)]
    last = volume.job_folder(list(volume.open_jobs())[-1].job_id)
    attempt = taken(last)
    decided = volume.job_folder(list(volume.open_jobs())[-2].job_id)
    taken(decided).close(finished("succeeded"))
    if has_card:
        running = (RunningAttempt(job=last.id, attempt=1, slot=0),)
        facts = {"host": "h", "pid": 1, "device": "CPU", "slots": 1, "child_start": "spawn", "ready": False}
        times = {"started_at": utc_now(), "seen_at": utc_now()}
        volume.show_worker(WorkerCard(worker="gone", draining=False, running=running, **facts, **times))
    sweeper = Sweeper(volume, QuietQueue(), Settings(**QUICK))
    looks = 2 if has_card else len(jobs) // 200 + 3
    for _ in range(looks):
        now[0] += 2
        sweeper.sweep()
    assert attempt.end().outcome == "lost"
    assert has_card or decided.state().status == "succeeded"
