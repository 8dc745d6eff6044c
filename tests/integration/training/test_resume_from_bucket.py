"""A machine is lost for good in the middle of a job: another one continues from the bucket, bit for bit."""

import shutil

import pytest

from shared.job import AttemptEnd
from shared.mirror.attached import detach
from shared.mirror.known import KnownFiles
from shared.mirror.mirror import Mirror
from shared.mirror.push import AttemptPush
from shared.times import utc_now
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.killing import outcome, preloaded_forks, resume_job, run_to_the_end, train

_KILLED_AT = ("batch", 28)


class Machine:
    """A worker's disk, and what it does with one job."""

    def __init__(self, root, store):
        self.root = root
        self.mirror = Mirror(root, store, KnownFiles(root.with_name(f"{root.name}.sqlite")))
        self.volume = Volume(root)

    def train(self, job_id, number, forks, kill=None):
        """One attempt, uploaded behind its training process."""
        job = self.volume.job_folder(job_id)
        attempt = claim(job, number)
        self.mirror.bring(job.path, self.volume.dataset_folder("grades"))
        push = AttemptPush(self.mirror, attempt)
        process = forks.Process(target=train, args=(str(attempt.path), kill, "0"))
        process.start()
        while process.exitcode is None:
            push.push()
            process.join(0.5)
        push.push(is_last=True)
        return job

    def lose_disk(self):
        detach(self.root)
        self.mirror.known.close()
        shutil.rmtree(self.root)


@pytest.fixture
def machine(tmp_path, s3_server):
    """Makes machines that share a bucket alone."""
    bucket, found = s3_server.make_bucket(), []

    def make(name):
        found.append(Machine(tmp_path / name, s3_server.store(bucket, "volume")))
        return found[-1]

    yield make
    for one in found:
        detach(one.root)


def test_job_that_another_machine_continues_ends_as_untouched_one(tmp_path, machine):
    forks, spec = preloaded_forks(), small_spec(**resume_job("fused"))
    spec["hyperparameters"]["epochs"] = 5
    twins = Volume(tmp_path / "posix")
    put_dataset(twins, learnable_frame(160))
    twin = put_job(twins, spec)
    run_to_the_end(twin, forks)

    first = machine("first")
    put_dataset(first.volume, learnable_frame(160))
    first.mirror.upload_folder(first.volume.dataset_folder("grades"))
    job_id = put_job(first.volume, spec).id
    first.train(job_id, 1, forks, _KILLED_AT)
    first.lose_disk()

    second = machine("second")
    second.mirror.bring(second.volume.jobs)
    lost = second.volume.job_folder(job_id).attempts()[0]
    assert any(lost.resume.glob("point-*")), "the bucket has no resume point"
    lost.close(AttemptEnd(outcome="lost", ended_at=utc_now()))
    second.train(job_id, 2, forks)
    second.lose_disk()

    third = machine("third")
    third.mirror.bring(third.volume.jobs)
    job = third.volume.job_folder(job_id)
    assert [attempt.number for attempt in job.attempts()] == [1, 2]
    assert '"resume"' in job.attempts()[1].events_file.read_text(), "the second machine began from the start"
    assert outcome(job) == outcome(twin)
