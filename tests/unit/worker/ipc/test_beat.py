"""What a heartbeat records about an attempt's time."""

import pytest

from shared.settings import Settings
from tests.unit.shared.records import posted, taken
from worker.ipc.beat import Beat, held_by_last_beat, moment_of_claim, write_beat
from worker.supervisor.heartbeat import Heartbeat


@pytest.fixture
def attempt(volume):
    return taken(posted(volume))


def test_a_beat_says_how_long_ago_the_claim_was_whatever_the_wall_clock_says(attempt, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("worker.supervisor.heartbeat.time.monotonic", lambda: now[0])
    heartbeat = Heartbeat(attempt, Settings(), since=998.5)
    heartbeat._beat()
    assert (moment_of_claim(attempt), held_by_last_beat(attempt, 3)) == (998.5, 4.5)
    now[0] += 10
    heartbeat._beat()
    assert (moment_of_claim(attempt), held_by_last_beat(attempt, 3)) == (998.5, 14.5)


def test_an_attempt_that_never_beat_held_its_gpu_for_one_interval(attempt):
    assert (moment_of_claim(attempt), held_by_last_beat(attempt, 3)) == (None, 3)


def test_a_beat_of_an_older_worker_says_nothing_of_the_claim(attempt):
    write_beat(attempt, Beat(1, 1000.0))
    assert (moment_of_claim(attempt), held_by_last_beat(attempt, 3)) == (None, None)


BEAT = b'{"count": 1, "began": 1, "elapsed": %s}'


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"count": 1}', BEAT % b'"x"', BEAT % b"NaN", BEAT % b"-1", BEAT % b"1e999"]
)
def test_a_damaged_beat_keeps_no_lost_attempt_from_its_end(attempt, content):
    attempt.heartbeat_file.write_bytes(content)
    assert held_by_last_beat(attempt, 3) is None
