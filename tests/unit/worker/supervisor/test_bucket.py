"""What a worker keeps on its machine of a volume in a bucket."""

import pytest

from shared.mirror.attached import bring, detach
from shared.mirror.known import KnownFiles
from shared.mirror.local_folder import for_workers
from shared.mirror.mirror import Mirror
from shared.mirror.pull import Puller
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset
from worker.supervisor.bucket import Wanted


@pytest.fixture
def mirror(tmp_path, s3_server):
    here = tmp_path / "worker"
    yield Mirror(here, s3_server.store(), KnownFiles(tmp_path / "known.sqlite"), for_workers)
    detach(here)


def test_a_worker_knows_all_datasets_and_keeps_the_data_that_its_jobs_have_brought(volume, mirror):
    put_dataset(volume, learnable_frame())
    folder = volume.dataset_folder("grades")
    mirror.upload((path, f"datasets/grades/{path.name}") for path in folder.iterdir())
    assert Puller(mirror, Wanted(mirror.root).wants, ()).look()
    here = Volume(mirror.root)
    assert here.dataset("grades") == volume.dataset("grades"), "a trial can be posted"
    assert here.has_data("grades")
    assert not here.data_file("grades").exists()
    bring(here.dataset_folder("grades"))
    assert Puller(mirror, Wanted(mirror.root).wants, ()).look()
    assert here.data_file("grades").read_bytes() == volume.data_file("grades").read_bytes()
