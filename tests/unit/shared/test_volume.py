"""The shared volume: datasets whole or not at all, jobs that are always marked, and the queue's order by name alone."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared import durable
from shared.ids import new_job_id
from shared.job_folder import JobFolder
from shared.mirror.attached import detach
from shared.mirror.known import KnownFiles
from shared.mirror.mirror import Mirror
from shared.open_job import OpenJob
from shared.store.folder import FolderStore
from shared.store.interface import NoAnswer
from shared.times import utc_now
from shared.volume import Volume, data_file_of
from shared.worker_card import RunningAttempt, WorkerCard
from tests.unit.shared.crash import dying_at
from tests.unit.shared.records import GRADES, dataset, ending, posted, record, taken

pytestmark = pytest.mark.both_stores

PUBLISHERS = 4


def card(worker, **parts):
    return WorkerCard(
        worker=worker, host="here", pid=1, device="CPU", slots=1, child_start="spawn", ready=True, draining=False,
        running=(RunningAttempt(job="job_x", attempt=1, slot=0),), started_at=utc_now(), seen_at=utc_now(), **parts,
    )  # fmt: skip


def prepared(volume, content=b"data", name=".prepared"):
    folder = volume.datasets / name
    folder.mkdir()
    (folder / "data.parquet").write_bytes(content)
    (folder / "dataset.json").write_text(dataset(GRADES).model_dump_json())
    return folder


def test_a_volume_makes_its_folders_and_takes_those_that_are_there(tmp_path):
    first = Volume(tmp_path / "deep" / "volume")
    job = posted(first)
    assert Volume(tmp_path / "deep" / "volume").job(job.id) == job


def test_the_queue_is_served_by_priority_and_then_by_age(volume):
    jobs = [posted(volume, priority) for priority in (5, 0, 9, 5, 0)]
    expected = sorted(jobs, key=lambda job: (job.record().spec.priority, job.id))
    assert [one.job_id for one in volume.open_jobs()] == [job.id for job in expected]
    assert [one.priority for one in volume.open_jobs()] == [0, 0, 5, 5, 9]


def test_names_in_open_that_mark_no_job_are_passed_over(volume):
    job = posted(volume)
    for name in (".5-x.tmp", f".5-{job.id}.abc.tmp", "x", "5-job_x", f"x-{job.id}", "5-", f"-1-{job.id}"):
        (volume.open / name).touch()
    assert list(volume.open_jobs()) == [OpenJob(5, job.id)]


@pytest.mark.parametrize("change", range(1, 20))
def test_a_job_that_exists_is_marked_whenever_its_post_was_cut_off(volume, machines, change):
    what = record()
    with dying_at(change):
        volume.store_job(what)
    volume = machines.die(volume)
    if volume.job(what.id) is not None:
        assert OpenJob(5, what.id) in list(volume.open_jobs())
    volume.store_job(what)
    assert volume.job(what.id).record() == what
    assert list(volume.open_jobs()) == [OpenJob(5, what.id)]


@pytest.mark.folder_only("a bucket has no folders to bring onto a disk")
def test_all_that_a_job_rests_on_is_on_the_disk_before_it_exists(volume, monkeypatch):
    done, link, sync = [], os.link, durable.sync_folder

    def noted(folder):
        done.append(folder)
        sync(folder)

    def linked(*paths):
        done.append("job")
        link(*paths)

    monkeypatch.setattr(durable, "sync_folder", noted)
    monkeypatch.setattr(os, "link", linked)
    first, second = record(), record()
    second = second.model_copy(update={"id": second.id[:-2] + first.id[-2:]})
    shard = volume.jobs / first.id[-2:]
    volume.store_job(first)
    assert done == [volume.open, volume.jobs, shard, "job", shard / first.id]
    done.clear()
    volume.store_job(second)
    assert done == [volume.open, shard, "job", shard / second.id]


def test_a_marker_without_a_job_means_nothing(volume):
    (volume.open / f"5-{new_job_id()}").touch()
    (marker,) = volume.open_jobs()
    assert volume.job(marker.job_id) is None
    assert volume.job_folder(marker.job_id).state() is None


def test_a_closed_job_leaves_the_order_and_may_be_closed_again(volume):
    job = posted(volume)
    job.settle(ending(), None)
    (marker,) = volume.open_jobs()
    volume.close_job(marker)
    volume.close_job(marker)
    assert list(volume.open_jobs()) == []
    assert volume.job(job.id) == job


@pytest.mark.folder_only("an id that is none reaches neither")
@pytest.mark.parametrize("job_id", ["", "..", "../../etc/passwd", "job_", "job_" + "A" * 10_000, "x\x00y", "job_x/.."])
def test_what_is_no_job_id_is_unknown_without_a_look_at_the_disk(volume, job_id, monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: pytest.fail(f"looked at {path}"))
    assert volume.job(job_id) is None


def test_jobs_are_listed_newest_first_and_only_jobs(volume):
    jobs = sorted((posted(volume).id for _ in range(5)), reverse=True)
    (volume.jobs / "zz" / "not-a-job").mkdir(parents=True)
    (volume.jobs / "stray").touch()
    assert volume.job_ids() == jobs


def test_a_dataset_appears_whole_and_never_changes(volume):
    assert volume.dataset("wine") is None
    assert volume.publish_dataset(prepared(volume, b"first"), "wine")
    assert volume.dataset("wine") == dataset(GRADES)
    assert not volume.publish_dataset(prepared(volume, b"second"), "wine")
    assert volume.data_file("wine").read_bytes() == b"first"
    assert volume.dataset_ids() == ["wine"]
    assert not (volume.datasets / ".prepared").exists()


def test_of_many_who_publish_one_dataset_at_once_one_does(volume, machines):
    volumes = [machines.add() for _ in range(PUBLISHERS)]
    gate = threading.Barrier(PUBLISHERS)

    def publish(number):
        folder = prepared(volumes[number], f"{number}".encode(), f".prepared-{number}")
        gate.wait()
        return volumes[number].publish_dataset(folder, "wine")

    with ThreadPoolExecutor(PUBLISHERS) as pool:
        told = list(pool.map(publish, range(PUBLISHERS)))
    assert told.count(True) == 1
    machines.look()
    for one in (volume, volumes[told.index(True)]):
        assert one.data_file("wine").read_bytes() == f"{told.index(True)}".encode()
    assert all(one.dataset("wine") == dataset(GRADES) for one in volumes)
    assert not [left for one in volumes for left in one.datasets.glob(".prepared*")]


def test_half_a_dataset_is_none(volume):
    (volume.datasets / "wine").mkdir()
    (volume.datasets / "wine" / "data.parquet").touch()
    assert volume.dataset("wine") is None


@pytest.mark.folder_only("an id that is none reaches neither")
@pytest.mark.parametrize("dataset_id", ["", ".", "..", "../x", "/etc", "a/b", ".hidden", "x" * 300, "a\x00"])
def test_what_is_no_dataset_id_reaches_no_path(volume, dataset_id):
    assert volume.dataset(dataset_id) is None
    with pytest.raises(ValueError, match="not a dataset's id"):
        volume.dataset_folder(dataset_id)
    with pytest.raises(ValueError, match="not a dataset's id"):
        data_file_of(posted(volume), dataset_id)


def test_a_job_knows_where_its_data_lies_from_its_own_folder(volume):
    attempt = taken(posted(volume))
    assert data_file_of(JobFolder(attempt.path.parent.parent), "wine") == volume.data_file("wine")


def test_worker_cards_are_shown_replaced_and_taken_away(volume):
    first, second = card("a"), card("b")
    for one in (second, first, second):
        volume.show_worker(one)
    assert volume.worker_cards() == [first, second]
    volume.remove_worker("a")
    volume.remove_worker("a")
    assert volume.worker_cards() == [second]


@pytest.mark.folder_only("what a bucket does that does not answer, the next test says")
def test_a_job_that_the_volume_does_not_take_leaves_no_marker(volume, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space left"):
        volume.store_job(record())
    assert list(volume.open_jobs()) == []


def test_a_job_whose_bucket_did_not_answer_stays_marked_since_it_may_exist(tmp_path, monkeypatch):
    """The request may be carried out after it was given up; without a marker no worker would train the job."""

    class Slow(FolderStore):
        def create(self, name, content):
            if name.endswith("/spec.json"):
                late.append((name, content))
                raise NoAnswer("no answer")
            return super().create(name, content)

    late, store = [], Slow(tmp_path / "bucket")
    mirror = Mirror(tmp_path / "volume", store, KnownFiles(tmp_path / "known.sqlite"))
    try:
        with pytest.raises(OSError, match="no answer"):
            Volume(mirror.root).store_job(half := record())
        FolderStore.create(store, *late[0])
        mirror.refresh(mirror.root / late[0][0].rpartition("/")[0])
        assert Volume(mirror.root).job(half.id) is not None
        assert [entry.name for entry in store.list("open")] == [f"open/{OpenJob.of(half).name}"]
    finally:
        detach(mirror.root)


@pytest.mark.folder_only("a bucket is given the marker first and keeps it, whoever else posts")
def test_a_marker_that_could_be_another_posts_is_left_where_the_job_could_not_be_stored(volume, monkeypatch):
    def stored_by_another_then_full(*_):
        monkeypatch.undo()
        volume.store_job(shared)
        raise OSError(errno.ENOSPC, "No space left on device")

    shared = record()
    monkeypatch.setattr(os, "link", stored_by_another_then_full)
    with pytest.raises(OSError, match="No space left"):
        volume.store_job(shared, is_shared=True)
    assert [marker.job_id for marker in volume.open_jobs()] == [shared.id]
    half = record()
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        volume.store_job(half, is_shared=True)
    assert len(list(volume.open_jobs())) == 2
    volume.forget_marker(half.id)
    assert [marker.job_id for marker in volume.open_jobs()] == [shared.id]
