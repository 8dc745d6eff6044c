"""How a training program finds out by itself that it must stop, by its own clock."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shared.durable import read_bytes
from shared.job_folder import AttemptFolder
from shared.volume import Volume
from tests.unit.shared.records import handed_back, posted, taken
from worker.ipc.beat import Beat, write_beat
from worker.training.errors import Superseded
from worker.training.stop_requests import StopRequests

SELF_STOP_SECONDS = 20.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("worker.training.stop_requests.time.monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def attempt(volume: Volume) -> AttemptFolder:
    return taken(posted(volume))


@pytest.fixture
def beat(attempt: AttemptFolder, clock: Clock) -> Callable[[], None]:
    count = iter(range(1, 1000))
    return lambda: write_beat(attempt, Beat(next(count), clock.now))


def test_a_beat_that_goes_on_lets_the_run_go_on_however_long_a_batch_takes(
    clock: Clock, attempt: AttemptFolder, beat: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(seconds: float) -> None:
        clock.now += seconds
        beat()

    monkeypatch.setattr("worker.training.stop_requests.time.sleep", sleep)
    requests = StopRequests(attempt, SELF_STOP_SECONDS)
    for _ in range(5):
        clock.now += 60
        beat()
        requests.check()


@pytest.mark.parametrize("others_take_over", [False, True])
def test_after_a_long_time_without_a_look_a_beat_proves_nothing_until_the_next_one(
    clock: Clock,
    attempt: AttemptFolder,
    beat: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    others_take_over: bool,
) -> None:
    # The machine was frozen while a beat was on its way: recent enough here, but too late for others, who end the
    # attempt now.
    beat()
    requests = StopRequests(attempt, SELF_STOP_SECONDS)
    requests.check()
    clock.now += SELF_STOP_SECONDS - 1
    beat()
    clock.now += 13

    def sleep(seconds: float) -> None:
        clock.now += seconds
        if others_take_over:
            attempt.close(handed_back())

    monkeypatch.setattr("worker.training.stop_requests.time.sleep", sleep)
    with pytest.raises(Superseded, match="another worker" if others_take_over else "no heartbeat"):
        requests.check()


def test_a_program_that_missed_the_first_beat_waits_for_one_that_began_after_its_look(
    clock: Clock, attempt: AttemptFolder, beat: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # It was frozen before its first line, so it cannot know how far apart the earlier beats were.
    beat()
    beat()
    requests = StopRequests(attempt, SELF_STOP_SECONDS)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        clock.now += seconds
        beat()

    monkeypatch.setattr("worker.training.stop_requests.time.sleep", sleep)
    requests.check()
    clock.now += 1
    requests.check()
    assert len(waited) == 1


def test_a_program_that_runs_by_hand_needs_no_beat(clock: Clock, attempt: AttemptFolder) -> None:
    requests = StopRequests(attempt, SELF_STOP_SECONDS)
    for _ in range(5):
        clock.now += 60
        requests.check()


def test_a_beat_that_stands_still_stops_the_run(clock: Clock, attempt: AttemptFolder, beat: Callable[[], None]) -> None:
    requests = StopRequests(attempt, SELF_STOP_SECONDS)
    beat()
    requests.check()
    clock.now += SELF_STOP_SECONDS - 1
    requests.check()
    clock.now += 2
    with pytest.raises(Superseded):
        requests.check()


def test_a_beat_is_as_old_as_its_beginning(clock: Clock, attempt: AttemptFolder, beat: Callable[[], None]) -> None:
    # Batches of 9 s: others count from this beat and take over 30 s later.
    requests = StopRequests(attempt, SELF_STOP_SECONDS)
    requests.check()
    beat()
    for _ in range(2):
        clock.now += 9
        requests.check()
    clock.now += 9
    with pytest.raises(Superseded):
        requests.check()


@pytest.mark.parametrize("came_meanwhile", [False, True])
def test_a_look_at_a_volume_that_hangs_is_as_old_as_its_beginning(
    clock: Clock,
    attempt: AttemptFolder,
    beat: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    came_meanwhile: bool,
) -> None:
    # Others may have taken over since the look for end.json, which came first.
    requests = StopRequests(attempt, SELF_STOP_SECONDS)
    beat()
    requests.check()
    clock.now += 1
    if came_meanwhile:
        beat()

    def hanging(path: Path) -> bytes | None:
        clock.now += 40
        return read_bytes(path)

    monkeypatch.setattr("worker.ipc.beat.read_bytes", hanging)
    with pytest.raises(Superseded):
        requests.check()


def test_an_attempt_that_others_ended_stops(clock: Clock, attempt: AttemptFolder) -> None:
    requests = StopRequests(attempt, SELF_STOP_SECONDS)
    attempt.close(handed_back())
    with pytest.raises(Superseded):
        requests.check()


def test_a_beat_that_disappears_with_its_folder_is_one_that_stands_still(
    clock: Clock, attempt: AttemptFolder, beat: Callable[[], None]
) -> None:
    beat()
    requests = StopRequests(attempt, SELF_STOP_SECONDS)
    requests.check()
    attempt.heartbeat_file.unlink()
    clock.now += SELF_STOP_SECONDS - 1
    requests.check()
    clock.now += 2
    with pytest.raises(Superseded, match="no heartbeat"):
        requests.check()
