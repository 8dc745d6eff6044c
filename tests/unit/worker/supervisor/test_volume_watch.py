"""A volume that fails pauses its workers, and costs no job an attempt that counts."""

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.job import AttemptEnd, JobError
from shared.settings import Settings
from shared.times import utc_now
from shared.volume import Volume
from tests.support.waiting import wait_for
from tests.unit.shared.records import posted, taken
from worker.supervisor.attempt import AttemptRun
from worker.supervisor.claim import Owner, claim_next, waiting_jobs
from worker.supervisor.heartbeat import Heartbeat
from worker.supervisor.patrol import Sweeper
from worker.supervisor.slots import Worker
from worker.supervisor.volume_watch import VolumeWatch

SMALL = 1024
QUICK = Settings(
    heartbeat_seconds=0.05, self_stop_seconds=0.5, take_over_seconds=0.8, volume_reserve_bytes=SMALL, sweep_seconds=0.1
)


class FakeQueue:
    def notify(self, *_job_ids: str) -> bool:
        return True

    def count_pending(self) -> int:
        return 0


class IdleChild:
    pid = 1

    def begin(self, _attempt: object, _environment: object) -> None:
        raise AssertionError("no child may begin")

    def close(self) -> None:
        """Do nothing: it has no process."""


class IdleNursery:
    child_start = "spawn"
    sickness = ""
    is_beyond_help = False

    def take(self, _drain: object) -> IdleChild:
        return IdleChild()

    def put_back(self, _child: IdleChild) -> None:
        """Do nothing: nothing was begun."""

    def forget_programs(self) -> None:
        raise AssertionError("nothing was the job's fault")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [0.0]
    monkeypatch.setattr("worker.supervisor.volume_watch.time.monotonic", lambda: moment[0])
    return moment


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make every write fail with an error number; with 0, writes succeed again."""
    true_open, number = os.open, [0]

    def open_(path: object, flags: int, *rest: object, **options: object) -> int:
        if number[0] and flags & (os.O_CREAT | os.O_WRONLY):
            raise OSError(number[0], os.strerror(number[0]), str(path))
        return true_open(path, flags, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", open_)
    return lambda error: number.__setitem__(0, error)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE])
def test_claiming_pauses_for_any_failure_of_the_volume_and_a_probe_ends_the_pause(
    volume: Volume, now: list[float], refuse: Callable[[int], None], error: int
) -> None:
    watch = VolumeWatch(volume, SMALL)
    assert watch.may_claim()
    watch.pause(OSError(error, os.strerror(error), str(volume.open)))
    refuse(error)
    assert not watch.may_claim()
    for _ in range(5):
        now[0] += 20
        assert not watch.look()
    assert ("full" in watch.paused) == (error in {errno.ENOSPC, errno.EDQUOT})
    refuse(0)
    assert not watch.look(), "not at every look while it fails"
    now[0] += 20
    assert watch.look()
    assert watch.may_claim()


def test_errors_of_this_machine_alone_pause_nothing(volume: Volume) -> None:
    watch = VolumeWatch(volume, SMALL)
    for error in (OSError(errno.ENOSPC, "full", "/tmp/x"), ConnectionResetError("gone")):
        watch.pause(error)
    assert not watch.paused


def test_nothing_is_claimed_below_the_reserve_or_while_the_volume_is_away(volume: Volume, tmp_path: Path) -> None:
    full = VolumeWatch(volume, 2**62)
    assert not full.may_claim()
    assert "full" in full.paused
    watch = VolumeWatch(volume, SMALL)
    volume.root.rename(tmp_path / "elsewhere")
    volume.root.mkdir()
    assert not watch.may_claim()
    assert "not mounted" in watch.paused
    assert list(volume.root.iterdir()) == []


def test_the_probe_is_as_large_as_what_did_not_fit(
    volume: Volume, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = taken(posted(volume))
    attempt.resume.mkdir()
    (attempt.resume / "point-0000001-000000000.bin").write_bytes(bytes(5000))
    probed: list[int] = []
    monkeypatch.setattr(Volume, "probe", lambda _, size: probed.append(size))
    watch = VolumeWatch(volume, SMALL)
    error = JobError(code="volume_full", message="full")
    watch.learn_from(attempt, AttemptEnd(outcome="handed_back", ended_at=utc_now(), error=error))
    now[0] += 20
    assert watch.look()
    assert probed == [SMALL + 10_000]


def test_a_worker_whose_claim_fails_pauses_shows_it_and_continues_by_itself(
    volume: Volume, refuse: Callable[[int], None], now: list[float]
) -> None:
    job = posted(volume)
    worker = Worker(QUICK, volume, FakeQueue(), IdleNursery())  # type: ignore[arg-type]
    freed: list[bool] = []
    worker.when_free(lambda: freed.append(worker.may_take()))
    worker._ready = True
    refuse(errno.EROFS)
    worker.run_next()
    assert (job.attempts(), worker.may_take(), freed) == ([], False, [False])
    refuse(0)
    worker._show_card()
    (card,) = volume.worker_cards()
    assert "Read-only" in card.paused
    assert not card.ready
    now[0] += 20
    worker._look_at_itself()
    assert freed == [False, True], "the queue is listened to again"


@pytest.mark.parametrize(("error", "code"), [(errno.ENOSPC, "volume_full"), (errno.EIO, "volume_error")])
def test_an_attempt_whose_first_beat_the_volume_refuses_is_handed_back_when_it_is_well_again(
    volume: Volume, refuse: Callable[[int], None], error: int, code: str
) -> None:
    attempt = taken(posted(volume))
    refuse(error)
    run = AttemptRun(attempt, time.monotonic(), volume, QUICK, threading.Event())
    thread = threading.Thread(target=run.run, args=[IdleChild()])
    thread.start()
    thread.join(2 * QUICK.take_over_seconds)
    assert thread.is_alive(), "it waits for as long as it takes"
    refuse(0)
    thread.join(120)
    end = attempt.end()
    assert end is not None
    assert end.error is not None
    assert (end.outcome, end.error.code, end.is_failure, end.retry_at) == ("handed_back", code, False, None)
    assert end.held_seconds is not None
    assert end.held_seconds < QUICK.take_over_seconds, "the wait for the volume is nobody's"


def test_an_owner_that_drains_waits_no_longer_than_its_grace(volume: Volume, refuse: Callable[[int], None]) -> None:
    attempt = taken(posted(volume))
    refuse(errno.EIO)
    drain = threading.Event()
    drain.set()
    settings = QUICK.model_copy(update={"stop_grace_seconds": 0.1})
    AttemptRun(attempt, time.monotonic(), volume, settings, drain).run(IdleNursery())  # type: ignore[arg-type]
    assert attempt.end() is None


def test_a_heartbeat_says_what_keeps_it_from_the_volume(volume: Volume, refuse: Callable[[int], None]) -> None:
    attempt = taken(posted(volume))
    with Heartbeat(attempt, QUICK, time.monotonic()) as heartbeat:
        assert heartbeat.trouble is None
        refuse(errno.ESTALE)
        wait_for(lambda: heartbeat.is_lost, 10)
        assert heartbeat.trouble is not None
        assert heartbeat.trouble.errno == errno.ESTALE
        refuse(0)


def test_a_volume_that_hangs_is_trouble_too(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = taken(posted(volume))
    release = threading.Event()
    with Heartbeat(attempt, QUICK, time.monotonic()) as heartbeat:
        monkeypatch.setattr("worker.supervisor.heartbeat.write_beat", lambda *_: release.wait(120))
        wait_for(lambda: heartbeat.is_lost, 10)
        trouble = heartbeat.trouble
        release.set()
    assert trouble is not None
    assert trouble.errno == errno.ETIMEDOUT


def test_nobody_is_lost_whose_end_the_volume_refused_until_it_is_silent_for_as_long_again(
    volume: Volume, refuse: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [0.0]
    monkeypatch.setattr("worker.supervisor.patrol.time.monotonic", lambda: moment[0])
    attempt = taken(posted(volume))
    sweeper = Sweeper(volume, FakeQueue(), QUICK)  # type: ignore[arg-type]
    sweeper.sweep()
    refuse(errno.ENOSPC)
    moment[0] += 10
    sweeper.sweep()
    refuse(0)
    sweeper.sweep()
    assert attempt.end() is None, "its owner comes first"
    moment[0] += 10
    sweeper.sweep()
    assert attempt.end() is not None


def test_a_job_without_its_data_waits_alone_until_the_data_is_there(volume: Volume) -> None:
    job, other = posted(volume), posted(volume)
    error = JobError(code="data_missing", message="the dataset is not on the volume")
    taken(job).close(AttemptEnd(outcome="handed_back", ended_at=utc_now(), error=error))
    assert [state.record.id for state in waiting_jobs(volume)] == [other.id]
    claimed = claim_next(volume, Owner("w", "here", 1, 0, "CPU"))
    assert claimed is not None
    assert claimed.job.id == other.id
    record = job.record()
    assert record is not None
    data = volume.data_file(record.spec.dataset.id)
    data.parent.mkdir()
    data.touch()
    assert [state.record.id for state in waiting_jobs(volume)] == [job.id]


def test_a_job_that_cannot_be_read_stands_aside_where_the_volume_is_well(
    volume: Volume, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken, sound = posted(volume, priority=0), posted(volume)
    true_open = os.open

    def open_(path: str, *rest: Any, **options: Any) -> int:
        if broken.id in str(path):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return true_open(path, *rest, **options)

    monkeypatch.setattr(os, "open", open_)
    assert [state.record.id for state in waiting_jobs(volume)] == [sound.id]
    monkeypatch.setattr("shared.volume.Volume.check", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "I/O")))
    with pytest.raises(OSError, match="I/O"):
        list(waiting_jobs(volume))


def test_a_job_whose_folder_alone_fails_keeps_nobody_else_waiting(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, lost, sound = posted(volume, priority=0), posted(volume, priority=1), posted(volume)
    silent = taken(lost)
    true_scandir, true_mkdir = os.scandir, os.mkdir

    def fail(path: object) -> None:
        if broken.id in str(path):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    def mkdir(path: object, *rest: object, **options: object) -> None:
        fail(path)
        true_mkdir(path, *rest, **options)  # type: ignore[arg-type]

    def scandir(path: object) -> object:
        fail(path)
        return true_scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "mkdir", mkdir)
    monkeypatch.setattr(os, "scandir", scandir)
    attempt = claim_next(volume, Owner("w", "here", 1, 0, "CPU"))
    assert attempt is not None
    assert attempt.job.id == sound.id
    sweeper = Sweeper(volume, FakeQueue(), QUICK)  # type: ignore[arg-type]
    assert wait_for(lambda: sweeper.sweep() or silent.end(), 30).outcome == "lost"
