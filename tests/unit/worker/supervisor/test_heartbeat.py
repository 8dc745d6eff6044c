"""The heartbeat of an attempt, and when its own worker must treat it as lost."""

import json
import shutil
import threading
import time

import pytest

from shared.settings import Settings
from tests.support.waiting import wait_for
from tests.unit.shared.records import handed_back, posted, taken
from worker.ipc.beat import write_beat
from worker.supervisor.heartbeat import Heartbeat

pytestmark = pytest.mark.both_stores

OFTEN = Settings(heartbeat_seconds=0.01, self_stop_seconds=0.3, take_over_seconds=1)
LONG = Settings(heartbeat_seconds=0.01, self_stop_seconds=600, take_over_seconds=900)


@pytest.fixture
def now(monkeypatch):
    """The monotonic clock's reading, in a list of one element that a test changes."""
    now = [1000.0]
    monkeypatch.setattr("worker.supervisor.heartbeat.time.monotonic", lambda: now[0])
    return now


@pytest.fixture(autouse=True)
def _no_thread_is_left(machines):
    """Wait for the last beat before the machines are removed; it may be under way when its attempt ends."""
    yield
    wait_for(lambda: not any(one.name.startswith("heartbeat of ") for one in threading.enumerate()), 30)


def count(attempt):
    return json.loads(attempt.heartbeat_file.read_bytes())["count"]


def test_the_first_beat_is_there_before_anything_else_happens(volume):
    attempt = taken(posted(volume))
    with Heartbeat(attempt, Settings(), time.monotonic()):
        assert count(attempt) == 1


def test_the_counter_goes_up_for_as_long_as_the_context_is_open_and_no_longer(volume):
    attempt = taken(posted(volume))
    with Heartbeat(attempt, LONG, time.monotonic()) as heartbeat:
        wait_for(lambda: count(attempt) > 5, 30)
        assert not heartbeat.is_lost
    last = count(attempt)
    assert not [one for one in threading.enumerate() if attempt.job.id in one.name]
    assert count(attempt) == last


def test_an_attempt_that_somebody_else_ended_is_lost_and_is_not_beaten_for_any_more(volume):
    attempt = taken(posted(volume))
    with Heartbeat(attempt, LONG, time.monotonic()) as heartbeat:
        attempt.close(handed_back())
        wait_for(lambda: heartbeat.is_lost, 30)
        last = count(attempt)
    assert count(attempt) == last


def test_an_attempt_that_was_over_before_it_began_is_lost_at_once(volume):
    attempt = taken(posted(volume))
    attempt.close(handed_back())
    with Heartbeat(attempt, LONG, time.monotonic()) as heartbeat:
        assert heartbeat.is_lost
    assert not attempt.heartbeat_file.exists()


def test_a_volume_that_takes_no_beats_makes_the_attempt_lost_before_others_may_take_it(volume):
    attempt = taken(posted(volume))
    with Heartbeat(attempt, OFTEN, time.monotonic()) as heartbeat:
        shutil.move(attempt.path, attempt.path.with_name("away"))
        wait_for(lambda: heartbeat.is_lost, 30)


def test_a_volume_that_hangs_makes_the_attempt_lost_too(volume, monkeypatch):
    attempt = taken(posted(volume))
    hangs = threading.Event()
    goes_on = threading.Event()

    def hang(*_):
        hangs.set()
        goes_on.wait(60)

    with Heartbeat(attempt, OFTEN, time.monotonic()) as heartbeat:
        monkeypatch.setattr("worker.supervisor.heartbeat.write_beat", hang)
        assert hangs.wait(120)
        wait_for(lambda: heartbeat.is_lost, 30)
        goes_on.set()


def test_a_beat_counts_from_the_moment_before_its_write(volume, now, monkeypatch):
    # Others may see a slow write late; they count from what they saw before it.
    attempt = taken(posted(volume))

    def slow(*_):
        now[0] += 0.5

    monkeypatch.setattr("worker.supervisor.heartbeat.write_beat", slow)
    heartbeat = Heartbeat(attempt, OFTEN, time.monotonic())
    heartbeat._beat()
    assert heartbeat.is_lost


def test_a_beat_that_arrives_too_late_is_the_last(volume, now, monkeypatch):
    # Others may have taken over before it came, and the next beat would tell the child that all is well.
    attempt = taken(posted(volume))
    heartbeat = Heartbeat(attempt, OFTEN, time.monotonic())
    heartbeat._beat()
    now[0] += OFTEN.self_stop_seconds - 0.1

    def slow(*given):
        now[0] += 0.2
        write_beat(*given)

    monkeypatch.setattr("worker.supervisor.heartbeat.write_beat", slow)
    heartbeat._beat()
    assert count(attempt) == 2
    heartbeat._beat()
    assert heartbeat.is_lost
    assert count(attempt) == 2


def test_a_worker_that_was_frozen_for_too_long_does_not_beat_again(volume, now):
    # Others may be taking over at this moment; a beat would tell the child that all is well.
    attempt = taken(posted(volume))
    heartbeat = Heartbeat(attempt, OFTEN, time.monotonic())
    heartbeat._beat()
    now[0] += OFTEN.self_stop_seconds + 0.1
    heartbeat._beat()
    assert count(attempt) == 1
    now[0] -= 0.2  # permanently, whatever a clock shows
    assert heartbeat.is_lost


def test_a_volume_that_comes_back_in_time_keeps_the_attempt(volume, caplog):
    attempt = taken(posted(volume))
    with Heartbeat(attempt, LONG, time.monotonic()) as heartbeat:
        shutil.move(attempt.path, attempt.path.with_name("away"))
        wait_for(lambda: "no heartbeat" in caplog.text, 30)
        shutil.move(attempt.path.with_name("away"), attempt.path)
        before = count(attempt)
        wait_for(lambda: count(attempt) > before, 30)
        assert not heartbeat.is_lost


def test_a_first_beat_long_after_the_claim_is_none(volume):
    # Others count from the claim; a beat that comes when they take over would only let a child start.
    attempt = taken(posted(volume))
    with Heartbeat(attempt, LONG, time.monotonic() - LONG.self_stop_seconds - 1) as heartbeat:
        assert heartbeat.is_lost
    assert not attempt.heartbeat_file.exists()
