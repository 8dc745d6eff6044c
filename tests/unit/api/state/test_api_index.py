"""The list of jobs from its index: filters, other hosts' jobs, a damaged and a cold index."""

import os
import shutil
import sqlite3
import threading
from contextlib import closing

import pytest

from api import create_app
from api.jobs import list as job_list
from api.state import index
from api.state.service import Service
from shared.dataset import DatasetInfo
from shared.ids import new_sweep_id
from shared.job import Ending, TrialOf
from shared.open_job import OpenJob
from shared.settings import Settings
from shared.times import utc_now
from shared.volume import Volume
from tests.support.jobs import claim, put_job, small_spec
from tests.support.keys import authorized
from tests.support.waiting import wait_for


def listed(client, query=""):
    answer = client.get(f"/jobs?limit=100{query}")
    assert answer.status_code == 200, answer.json
    return [job["id"] for job in answer.json["data"]]


def finish(volume, job, status="succeeded"):
    job.settle(Ending(status=status), attempt=None)
    volume.close_job(OpenJob(5, job.id))


@pytest.fixture
def elsewhere(volume):
    """The same volume as another host's API sees it."""
    return Volume(volume.root)


def test_a_list_is_narrowed_by_name_metadata_time_and_state(client, volume, new_job):
    first = new_job(name="one", metadata={"team": "red", "run": "1"})
    second = new_job(name="two", metadata={"team": "red"})
    made = utc_now()
    between = wait_for(lambda: (now := utc_now()) > made and now, 5, every=0.001)
    wait_for(lambda: utc_now() > between, 5)
    third = new_job(name="two", metadata={"team": "blue"})
    finish(volume, first)
    assert listed(client, "&name=two") == sorted([second.id, third.id], reverse=True)
    assert listed(client, "&metadata.team=red") == sorted([second.id, first.id], reverse=True)
    assert listed(client, "&metadata.team=red&metadata.run=1") == [first.id]
    assert listed(client, f"&created_after={between}") == [third.id]
    assert listed(client, f"&created_before={between}&status=queued") == [second.id]
    assert listed(client, "&status=succeeded&status=failed") == [first.id]
    assert listed(client, "&name=nobody") == []


def test_trials_are_listed_by_themselves_or_left_out(client, volume, new_job, monkeypatch):
    sweep = new_sweep_id()
    alone = new_job()
    trials = [put_job(volume, small_spec(), sweep=TrialOf(id=sweep, trial=number)) for number in (1, 2)]
    finish(volume, trials[0])
    ids = sorted([job.id for job in trials], reverse=True)

    def check():
        assert listed(client) == sorted([alone.id, *ids], reverse=True)
        assert listed(client, "&sweep=none") == [alone.id]
        assert listed(client, f"&sweep={sweep}") == ids
        assert listed(client, f"&sweep={sweep}&status=queued") == [trials[1].id]
        assert listed(client, f"&sweep={new_sweep_id()}") == []
        assert [row["id"] for row in client.get("/page/rows?sweep=none").json["data"]] == [alone.id]

    check()
    monkeypatch.setattr("api.state.index.JobIndex.catch_up", lambda _: refuse())
    check()


def refuse():
    """Raise the error of an index that is being built."""
    raise index.IndexNotReady


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("created_after=yesterday", "#/query/created_after"),
        ("created_before=2026-01-01T00:00:00", "#/query/created_before"),
        ("created_after=0001-01-01T00:00:00%2B23:59", "#/query/created_after"),
        ("sweep=cancer", "#/query/sweep"),
        ("name=a&name=b", "#/query/name"),
        ("metadata.k=a&metadata.k=b", "#/query/metadata.k"),
        ("metadta.k=a", "#/query/metadta.k"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_named(client, query, place):
    answer = client.get(f"/jobs?{query}")
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json["errors"]] == [place]


def test_jobs_of_other_hosts_and_their_ends_are_in_the_next_list(client, elsewhere, grades):
    assert listed(client) == []
    waiting = put_job(elsewhere, small_spec())
    over = put_job(elsewhere, small_spec())
    finish(elsewhere, over, "failed")
    assert listed(client) == sorted([waiting.id, over.id], reverse=True)
    assert listed(client, "&status=failed") == [over.id]
    finish(elsewhere, waiting, "cancelled")
    assert listed(client, "&status=cancelled") == [waiting.id]
    assert listed(client, "&status=queued") == []


def test_what_came_in_one_tick_of_the_clock_is_not_missed(client, app, elsewhere, grades, monkeypatch):
    """Even if the folders' times show no change since the last look, until they are settled."""
    put_job(elsewhere, small_spec())
    assert len(listed(client)) == 1
    frozen = {path: path.stat() for path in (elsewhere.open, *elsewhere.jobs.iterdir())}
    job = put_job(elsewhere, small_spec())
    for path, stat in frozen.items():
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert job.id in listed(client)


def test_a_job_that_is_half_stored_appears_with_its_spec(client, app, volume, new_job, monkeypatch):
    monkeypatch.setattr(index, "SETTLE_SECONDS", 0.0)
    job = new_job()
    hidden = job.spec_file.rename(job.path / "later")
    assert listed(client) == listed(client) == []
    hidden.rename(job.spec_file)
    assert listed(client) == [job.id]


def test_a_list_that_nothing_has_changed_reads_no_shard(client, app, new_job, monkeypatch):
    monkeypatch.setattr(index, "SETTLE_SECONDS", 0.0)
    job = new_job()
    assert listed(client) == [job.id]
    jobs = Service.of(app).index
    monkeypatch.setattr(jobs, "_read_shards", lambda most: pytest.fail("a shard was read"))
    assert listed(client) == [job.id]


def test_states_of_jobs_that_are_open_are_read_fresh(client, volume, new_job):
    job = new_job()
    assert listed(client, "&status=queued") == [job.id]
    claim(job)
    assert (listed(client, "&status=running"), listed(client, "&status=queued")) == ([job.id], [])
    job.settle(Ending(status="failed"), attempt=1)
    assert (listed(client, "&status=failed"), listed(client, "&status=running")) == ([job.id], [])


def test_a_deleted_job_leaves_the_list_at_once(client, volume, elsewhere, new_job):
    jobs = [new_job() for _ in range(3)]
    for job in jobs:
        finish(volume, job)
    assert len(listed(client)) == 3
    shutil.rmtree(elsewhere.job_folder(jobs[1].id).path)
    assert listed(client) == sorted([jobs[0].id, jobs[2].id], reverse=True)


def test_a_damaged_index_is_made_anew(client, app, volume, new_job):
    ids = sorted((new_job().id for _ in range(5)), reverse=True)
    assert listed(client) == ids
    file = Service.of(app).index._file._path
    for ending in ("", "-wal", "-shm"):
        path = file.with_name(file.name + ending)
        if path.exists():
            path.write_bytes(b"no database " * 1000)
    assert listed(client) == ids
    assert listed(client) == ids


def test_an_index_that_cannot_be_written_anywhere_hides_no_job(settings, volume, new_job, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    job = new_job()
    client = authorized(create_app(settings.model_copy(update={"index_folder": tmp_path / "file" / "x"})))
    assert listed(client) == [job.id]


def test_a_second_process_of_the_host_finds_the_index_made(settings, client, volume, new_job):
    ids = sorted((new_job().id for _ in range(4)), reverse=True)
    assert listed(client) == ids
    other = authorized(create_app(settings))
    assert listed(other) == ids


def test_a_cold_index_is_made_behind_the_requests_which_are_answered_whole(
    settings: Settings, volume: Volume, grades: DatasetInfo, new_job, monkeypatch
):
    ids = sorted((new_job().id for _ in range(12)), reverse=True)
    may_build = threading.Event()
    monkeypatch.setattr(index, "MOST_READ_AT_ONCE", 3)
    build = index.JobIndex._build
    monkeypatch.setattr(index.JobIndex, "_build", lambda jobs: may_build.wait(60) and build(jobs))
    app = create_app(settings)
    client = authorized(app)
    assert listed(client) == ids
    monkeypatch.setattr(job_list, "MOST_FOLDERS", 5)
    for path in ("/jobs?name=nobody", "/page/rows?sweep=" + new_sweep_id()):
        refused = client.get(path)
        told = (refused.status_code, refused.json["code"], refused.headers["Retry-After"])
        assert told == (503, "index_building", "2"), path
    may_build.set()
    wait_for(lambda: client.get("/jobs?name=nobody").status_code == 200, 30)
    assert listed(client) == ids


def test_threads_that_ask_at_once_are_all_answered_whole(app, volume, new_job):
    ids = sorted((new_job().id for _ in range(30)), reverse=True)
    found = []
    threads = [threading.Thread(target=lambda: found.append(listed(authorized(app)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [ids] * 8


def test_the_index_keeps_no_state_that_can_change(client, app, volume, new_job):
    waiting, running, over = new_job(), new_job(), new_job()
    claim(running)
    finish(volume, over)
    listed(client)
    with closing(sqlite3.connect(Service.of(app).index._file._path)) as database:
        assert dict(database.execute("SELECT id, status FROM job")) == {
            waiting.id: "open",
            running.id: "open",
            over.id: "succeeded",
        }
