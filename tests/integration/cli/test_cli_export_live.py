"""`fitstop export mlflow --live`: each epoch once, wherever the sender is killed."""

import pytest

from fitstop.client import Client
from fitstop.connection import Connection
from fitstop.errors import ClientError
from fitstop.export.live import LiveExport
from fitstop.export.mlflow import MlflowServer
from shared.job import AttemptEnd, Ending, JobError, Stop
from shared.open_job import OpenJob
from shared.times import utc_now
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.epochs import epoch, tell
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.keys import ADMIN_KEY
from tests.support.mlflow import FakeMlflow

KEYS = ("accuracy", "learning_rate", "loss", "val_accuracy", "val_loss")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    volume = Volume(folder / "volume")
    put_dataset(volume, learnable_frame())
    api = ApiProcess(volume, "redis://127.0.0.1:1/0", folder / "api.log")
    api.start()
    yield api
    api.stop()


class Senders:
    """Senders on one service, one after the other; a new one knows nothing of the one before."""

    def __init__(self, service, canned):
        self.client = Client(Connection(f"http://127.0.0.1:{service.port}", ADMIN_KEY))
        self.server = MlflowServer(canned.url)
        self.said = []
        self.start()

    def start(self):
        self.sender = LiveExport(self.client, self.server, "fitstop", self.said.append)

    def look(self):
        """Look once; a sender whose request was cut is killed, and the next one looks."""
        while True:
            try:
                self.sender.look()
            except ClientError:
                self.start()
            else:
                return


@pytest.fixture
def senders(service, canned):
    found = Senders(service, canned)
    yield found
    found.client.close()
    found.server.close()


def finish(service, job, last, number):
    job.settle(Ending(status="succeeded", stop=Stop(reason="epochs_completed", last_epoch=last)), number)
    service.volume.close_job(OpenJob(5, job.id))


def lose(attempt):
    error = JobError(code="worker_lost", message="gone")
    attempt.close(AttemptEnd(outcome="lost", ended_at=utc_now(), error=error, is_loss=True))


def live(service, look):
    """Run a job that is lost twice, each time after an epoch that it computes again; `look` after each step."""
    job = put_job(service.volume, small_spec(name="wine", metadata={"team/é": "a"}))
    look()
    for number, (first, last) in enumerate([(1, 3), (3, 4), (4, 6)], 1):
        attempt = claim(job, number)
        look()
        for one in range(first, last + 1):
            tell(attempt, epoch(one, one / 100))
            look()
        if last < 6:
            lose(attempt)
            look()
    finish(service, job, 6, 3)
    look()
    look()
    return job


def run_of(fake, job):
    runs = [one for one in fake.active() if one["job"] == job.id]
    assert len(runs) == 1
    return runs[0]


def assert_complete(fake, job):
    run = run_of(fake, job)
    assert sorted(one[:2] for one in run["metrics"]) == [(key, step) for key in KEYS for step in range(1, 7)]
    assert (run["status"], run["end_time"] is not None) == ("FINISHED", True)
    assert run["params"]["hyperparameters.batch_size"] == "32"
    assert run["tags"]["team_é"] == "a"


def test_each_epoch_is_sent_once_over_lost_attempts_while_the_job_runs(service, canned, senders):
    fake = FakeMlflow(canned)
    epochs = []

    def look():
        senders.look()
        epochs.append(max((step for run in fake.active() for _, step, _ in run["metrics"]), default=0))

    job = live(service, look)
    assert_complete(fake, job)
    assert sorted(set(epochs)) == list(range(7)), "each epoch was sent as soon as it had ended"
    before = fake.requests
    senders.look()
    assert fake.requests == before, "a job that has ended costs nothing"


@pytest.mark.parametrize("how", ["before", "after"])
def test_a_sender_that_is_killed_at_any_request_has_sent_each_epoch_once(service, canned, senders, how):
    fake = FakeMlflow(canned)
    # About every third request, so that each kind is cut somewhere, also those of a sender that has just begun.
    fake.cut = dict.fromkeys(range(1, 200, 4), how) | dict.fromkeys(range(3, 200, 7), how)
    job = live(service, senders.look)
    assert_complete(fake, job)
    assert fake.cuts >= 20


def test_a_second_run_that_a_killed_sender_made_too_late_is_deleted(service, canned, senders):
    fake = FakeMlflow(canned)
    job = put_job(service.volume, small_spec())
    tell(claim(job, 1), epoch(1, 0.1))
    senders.look()
    fake.runs_create({"tags": [{"key": "fitstop.job", "value": job.id}]})
    senders.start()
    senders.look()
    assert len(run_of(fake, job)["metrics"]) == len(KEYS)


def test_what_mlflow_refuses_concerns_one_job_and_is_tried_again(service, canned, senders):
    fake = FakeMlflow(canned)
    jobs = [put_job(service.volume, small_spec()) for _ in range(2)]
    for job in jobs:
        tell(claim(job, 1), epoch(1, 0.1))
    senders.look()
    run_of(fake, jobs[0])["is_deleted"] = True
    for job in jobs:
        tell(job.attempts()[0], epoch(2, 0.2))
    senders.look()
    assert len(run_of(fake, jobs[1])["metrics"]) == 2 * len(KEYS)
    assert [jobs[0].id in one for one in senders.said] == [True]
    senders.look()
    assert len(run_of(fake, jobs[0])["metrics"]) == 2 * len(KEYS)


def test_jobs_that_had_ended_before_the_experiment_was_made_are_left_out(service, canned, senders):
    fake = FakeMlflow(canned)
    fake.find = lambda query: (200, {"experiment": {"experiment_id": "7", "creation_time": 4_000_000_000_000}})
    old, running = put_job(service.volume, small_spec()), put_job(service.volume, small_spec())
    for job in (old, running):
        tell(claim(job, 1), epoch(1, 0.1))
    finish(service, old, 1, 1)
    senders.look()
    assert running.id in {one["job"] for one in fake.active()}
    assert old.id not in {one["job"] for one in fake.active()}
