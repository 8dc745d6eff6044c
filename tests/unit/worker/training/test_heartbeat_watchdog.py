"""A process inside a long batch ends before others take over its attempt, and never without need."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.durable import encode, replace_file
from shared.job_folder import AttemptFolder
from shared.settings import Settings
from shared.volume import Volume
from tests.support.waiting import wait_for
from tests.unit.shared.records import handed_back, posted, taken
from worker.ipc.exit_statuses import SUPERSEDED
from worker.training.heartbeat_watchdog import HeartbeatWatchdog

SETTINGS = Settings(heartbeat_seconds=3, self_stop_seconds=20, take_over_seconds=30)


class Ended(Exception):
    """The process has ended."""


def end() -> None:
    raise Ended


class Life:
    """A watchdog whose two threads are driven by hand, with its own clock."""

    def __init__(self, attempt: AttemptFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self._attempt = attempt
        self._count = 0
        monkeypatch.setattr("worker.training.heartbeat_watchdog.time.monotonic", lambda: self.now)
        self.beat()
        self._line = HeartbeatWatchdog(attempt, SETTINGS, end)

    def beat(self) -> None:
        self._count += 1
        replace_file(self._attempt.heartbeat_file, encode({"version": 1, "count": self._count}))

    def live(self, seconds: float, *, beats: bool, looks: bool = True) -> None:
        """Let `seconds` pass, with a beat every 3 s or without; `looks` False: the volume hangs."""
        for half_seconds in range(int(2 * seconds)):
            self.now += 0.5
            if beats and half_seconds % 6 == 0:
                self.beat()
            if looks:
                self._line._look()
            self._line._judge()

    def freeze(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def attempt(volume: Volume) -> AttemptFolder:
    return taken(posted(volume))


@pytest.fixture
def life(attempt: AttemptFolder, monkeypatch: pytest.MonkeyPatch) -> Life:
    return Life(attempt, monkeypatch)


def ends_after(act: Callable[[], None], life: Life) -> float:
    began = life.now
    with pytest.raises(Ended):
        act()
    return life.now - began


def test_beats_let_a_batch_last_as_long_as_it_likes(life: Life) -> None:
    life.live(3600, beats=True)


def test_a_worker_that_has_fallen_silent_ends_it_between_the_self_stop_and_the_take_over(life: Life) -> None:
    life.live(60, beats=True)
    assert 20 < ends_after(lambda: life.live(60, beats=False), life) < 30


def test_a_volume_that_hangs_ends_it_in_time(life: Life) -> None:
    life.live(60, beats=True)
    assert 20 < ends_after(lambda: life.live(60, beats=True, looks=False), life) < 30


def test_an_attempt_that_others_have_ended_ends_it_at_once(life: Life, attempt: AttemptFolder) -> None:
    attempt.close(handed_back())
    assert ends_after(lambda: life.live(60, beats=True), life) <= 0.5


def test_a_child_that_was_frozen_alone_goes_on(life: Life) -> None:
    for _ in range(3):
        life.live(10, beats=True)
        life.freeze(100)
        life.beat()
    life.live(60, beats=True)


def test_a_machine_that_was_frozen_ends_it_as_soon_as_the_next_beat_is_missing(life: Life) -> None:
    life.live(10, beats=True)
    life.beat()  # written just before; its age is unknown after the freeze
    life.freeze(60)
    assert ends_after(lambda: life.live(60, beats=False), life) <= 2 * SETTINGS.heartbeat_seconds + 1


def test_freezing_again_and_again_gives_no_more_time_without_a_beat(life: Life) -> None:
    life.live(10, beats=True)

    def stutter() -> None:
        for _ in range(100):
            life.freeze(3)
            life.live(0.5, beats=False)

    assert ends_after(stutter, life) < 30 + 2 * SETTINGS.heartbeat_seconds


def test_a_run_by_hand_needs_no_beat(life: Life, attempt: AttemptFolder) -> None:
    attempt.heartbeat_file.unlink()
    life.live(600, beats=False)


def test_a_beat_that_disappears_with_its_folder_is_one_that_stands_still(life: Life, attempt: AttemptFolder) -> None:
    # The worker is dead, and the next one on its machine has emptied the local folder of the bucket.
    life.live(60, beats=True)
    attempt.heartbeat_file.unlink()
    assert 20 < ends_after(lambda: life.live(60, beats=False), life) < 30


PROGRAM = """
import sys, threading
from pathlib import Path
from shared.job_folder import AttemptFolder
from shared.settings import Settings
from worker.training.heartbeat_watchdog import HeartbeatWatchdog
folder = Path(sys.argv[1])
settings = Settings(heartbeat_seconds=0.5, self_stop_seconds=float(sys.argv[2]), take_over_seconds=float(sys.argv[3]))
with HeartbeatWatchdog(AttemptFolder(folder, int(folder.name)), settings):
    print("computes", flush=True)
    threading.Event().wait(300)  # a batch: no Python of the run's own runs meanwhile
"""


def computing(attempt: AttemptFolder, *seconds: float) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(attempt.path), *map(str, seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "computes\n"
    return process


def test_a_real_process_is_gone_when_nobody_beats(attempt: AttemptFolder) -> None:
    replace_file(attempt.heartbeat_file, b"{}")
    with computing(attempt, 1, 2) as process:
        assert process.wait(120) == SUPERSEDED


def test_a_real_process_that_cannot_read_the_volume_is_gone(attempt: AttemptFolder) -> None:
    os.mkfifo(attempt.heartbeat_file)  # opening it waits for a writer that never comes
    with computing(attempt, 1, 2) as process:
        assert process.wait(120) == SUPERSEDED


def test_a_real_process_that_thaws_beside_a_silent_worker_is_gone(attempt: AttemptFolder) -> None:
    replace_file(attempt.heartbeat_file, b"{}")
    with computing(attempt, 3, 4) as process:
        os.kill(process.pid, signal.SIGSTOP)
        wait_for(lambda: Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T")
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(120) == SUPERSEDED
