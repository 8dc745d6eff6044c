"""An attempt's files in a bucket, when looks of the same worker come between its last uploads."""

import threading
import time
from types import SimpleNamespace

import pytest

from shared.durable import make_folder, replace_file
from shared.job import AttemptEnd
from shared.mirror.attached import detach
from shared.mirror.known import KnownFiles
from shared.mirror.local_folder import for_workers
from shared.mirror.mirror import Mirror
from shared.mirror.push import AttemptPush
from shared.settings import Settings
from shared.times import utc_now
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from worker.supervisor.attempt import AttemptRun
from worker.supervisor.heartbeat import Heartbeat
from worker.supervisor.uploads import Uploads


@pytest.fixture
def mirror(volume, tmp_path, s3_server):
    yield Mirror(volume.root, s3_server.store(), KnownFiles(tmp_path / "known.sqlite"), for_workers)
    detach(volume.root)


@pytest.fixture
def attempt(volume, mirror):
    put_dataset(volume, learnable_frame())
    return claim(put_job(volume, small_spec()))


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_look_between_an_attempts_end_and_its_last_upload_takes_nothing_away(volume, mirror, attempt, has_begun):
    job = attempt.job
    (attempt.path / "events.jsonl").write_text("{}\n")
    (attempt.path / "prepare.py").write_text("x = 1\n")
    uploads = Uploads(volume, attempt, 60)
    if has_begun:
        # If the volume fails before this, the events say so.
        uploads.begin()
    uploads.upload_all()
    assert attempt.close(AttemptEnd(outcome="finished", has_progress=True, ended_at=utc_now()))
    mirror.refresh(job.path)
    unit = mirror.name_of(job.path)
    mirror.folder.sync(unit)
    uploads.end(is_ours=True)
    kept = {entry.name.rpartition("/")[2] for entry in mirror.store.list(mirror.name_of(attempt.path))}
    assert {"events.jsonl", "prepare.py", "end.json"} <= kept
    assert not mirror.folder.own, "from now on the looks have the folder"


def test_an_attempt_does_not_end_while_an_older_upload_may_still_come(volume, attempt, monkeypatch):
    uploads = Uploads(volume, attempt, 60)
    uploads.begin()
    monkeypatch.setattr(AttemptPush, "is_settled", lambda _: False)
    with pytest.raises(OSError, match="may still be carried out for 120 s"):
        uploads.upload_all()


def test_an_attempt_that_follows_another_plan_than_the_one_that_stands_is_left_to_others(volume, mirror, attempt):
    settings = Settings(volume_reserve_bytes=1)
    run = AttemptRun(attempt, 0.0, volume, settings, threading.Event())
    run._uploads = Uploads(volume, attempt, 0.01)
    run._uploads.begin()
    mirror.store.create(mirror.name_of(attempt.job.plan_file), b"a late decision of an earlier attempt")
    attempt.job.plan_file.write_bytes(b"ours")
    run._uploads._thread.join(timeout=30)
    child = SimpleNamespace(newest_pulse=lambda: None)
    assert run._reason_to_kill(child, Heartbeat(attempt, settings, time.monotonic())) == "lost"
    assert not run._close(AttemptEnd(outcome="finished", has_progress=True, ended_at=utc_now()))
    assert not attempt.end_file.exists()
    run._uploads.end(is_ours=False)
    assert attempt.job.plan_file.read_bytes() == b"a late decision of an earlier attempt"


def test_a_look_leaves_the_plan_alone_that_an_attempt_has_decided(volume, mirror, attempt):
    uploads, plan = Uploads(volume, attempt, 60), attempt.job.plan_file
    uploads.begin()
    plan.write_bytes(b"ours")
    mirror.store.create(mirror.name_of(plan), b"a late one")
    mirror.refresh(attempt.job.path)
    assert plan.read_bytes() == b"ours"


def test_what_an_attempt_uploads_is_not_written_through_as_well(mirror, attempt):
    samples = attempt.job.path / f"system/{attempt.number}.jsonl"
    make_folder(samples.parent)
    replace_file(samples, b"{}\n")
    assert mirror.store.read(mirror.name_of(samples)) is None
