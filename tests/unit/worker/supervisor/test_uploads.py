"""What becomes of an attempt's files in a bucket, when looks of the same worker come between its last uploads."""

import pytest

from shared.job import AttemptEnd
from shared.mirror.attached import detach
from shared.mirror.known import KnownFiles
from shared.mirror.local_folder import for_workers
from shared.mirror.mirror import Mirror
from shared.times import utc_now
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from worker.supervisor.uploads import Uploads


@pytest.fixture
def mirror(volume, tmp_path, s3_server):
    yield Mirror(volume.root, s3_server.store(), KnownFiles(tmp_path / "known.sqlite"), for_workers)
    detach(volume.root)


def test_a_look_between_an_attempts_end_and_its_last_upload_takes_nothing_away(volume, mirror):
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec())
    attempt = claim(job)
    (attempt.path / "events.jsonl").write_text("{}\n")
    (attempt.path / "prepare.py").write_text("x = 1\n")
    uploads = Uploads(volume, attempt, 60)
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
