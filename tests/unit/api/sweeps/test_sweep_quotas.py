"""The next trial of a sweep waits while its project has reached a quota that the API measures."""

import pytest

from api import create_app
from api.state.quota_watch import QuotaWatch
from api.state.service import Service
from shared.job import AttemptEnd, Ending
from shared.open_job import OpenJob
from shared.settings import Settings
from shared.sweep.folder import find_sweep
from shared.sweep.quota import read_word
from shared.times import utc_now
from tests.support.jobs import claim
from tests.support.keys import authorized
from tests.support.sweeps import DeafQueue, sweep_document
from worker.supervisor.sweeps import SweepRunner

QUOTAS = {"default": {"gpu_seconds_per_month": 100, "bytes": 10**12}}


@pytest.fixture
def settings(settings):
    return Settings.model_validate({**dict(settings), "project_quotas": QUOTAS})


@pytest.fixture
def posted(client, volume, grades):
    answer = client.post("/sweeps", json=sweep_document(trials=3, parallel=2))
    assert answer.status_code == 202, answer.json
    return find_sweep(volume, answer.json["id"])


@pytest.fixture
def watch(app, volume, settings):
    return QuotaWatch(volume, Service.of(app).usage, settings)


def end_trial(volume, folder, number, held):
    job = volume.job_folder(folder.trial(number).job)
    attempt, ending = claim(job), Ending(status="succeeded")
    attempt.close(AttemptEnd(outcome="finished", ended_at=utc_now(), ending=ending, held_seconds=held))
    job.settle(ending, 1)
    volume.close_job(OpenJob(5, job.id))
    return job


def test_a_trial_waits_while_the_month_is_used_up_and_starts_when_it_is_not(
    client, app, volume, settings, posted, watch
):
    worker = SweepRunner(volume, DeafQueue(), settings)
    worker.look()
    watch.look()
    assert read_word(posted) == (0, None)
    job = end_trial(volume, posted, 1, 120.0)
    Service.of(app).usage.forget("default")
    for _ in range(3):
        watch.look()
        QuotaWatch(volume, Service.of(app).usage, settings).look()
    number, reached = read_word(posted)
    assert number == 1, "said once, also by several processes"
    assert "120 of 100 GPU seconds" in reached
    worker.look()
    assert posted.trial_names().proposed == [1, 2]
    assert client.get(f"/sweeps/{posted.id}").json["waiting"] == reached
    job.attempts()[0].end_file.unlink()
    attempt_end = AttemptEnd(outcome="finished", ended_at=utc_now(), ending=Ending(status="succeeded"), held_seconds=9)
    job.attempts()[0].close(attempt_end)
    again = create_app(settings)
    QuotaWatch(volume, Service.of(again).usage, settings).look()
    assert read_word(posted) == (2, None)
    worker.look()
    assert posted.trial_names().proposed == [1, 2, 3]
    assert authorized(again).get(f"/sweeps/{posted.id}").json["waiting"] is None


def test_a_project_without_such_a_quota_and_a_sweep_that_has_ended_are_not_measured(app, volume, settings, posted):
    service = Service.of(app)
    asked = []
    service.usage.is_known = asked.append
    free = settings.model_copy(update={"project_quotas": {}})
    QuotaWatch(volume, service.usage, free).look()
    watch = QuotaWatch(volume, service.usage, settings)
    watch.look()
    assert asked == ["default"]
    posted.end("completed", "all trials have ended")
    watch.look()
    watch.look()
    assert asked == ["default"]
