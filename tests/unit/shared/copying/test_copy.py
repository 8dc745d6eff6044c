"""Copying a volume between folders and buckets: a copy killed at any moment is no volume until it is continued."""

import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from shared.copying import copy as copying
from shared.copying import places
from shared.copying.copy import Progress, copy_volume
from shared.copying.problems import CopyFailed, CopyRefused
from shared.copying.record import CopyRecord
from shared.mirror.attached import detach
from shared.mirror.opening import BucketUnusable, open_mirror
from shared.preflight import check_volume
from shared.settings import Settings
from shared.store.bucket import PART_BYTES
from shared.store.folder import FolderStore
from shared.store.interface import Entry, NoAnswer, Store
from shared.store.segments import Overtaken
from shared.store.trial import Unfit
from shared.volume import Volume
from shared.volume_identity import COPY_FILE, COPY_FOLDER, MARKER_FILE
from tests.support.bucket import Server, access_to, running_server
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec

LONG = "n" * 255


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture
def source(tmp_path: Path) -> FolderStore:
    """A volume with a dataset and a job, files with names of any kind, one file of several parts, and times in 2023."""
    volume = Volume(tmp_path / "source")
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec())
    files = job.path / "attempts" / "1" / "files"
    files.mkdir(parents=True)
    (files / LONG).write_bytes(b"")
    (files / os.fsdecode(b"no utf-8 \xff\n")).write_bytes(b"script's own")
    (files / "large").write_bytes(os.urandom(PART_BYTES + 1000))
    (files / "link").symlink_to("/etc/hostname")
    (volume.deleted / "half-removed").mkdir()
    (volume.deleted / "half-removed" / "file").write_bytes(b"")
    (volume.deleted / "01ARZ3NDEKTSV4RRFFQ69G5FAV").touch()
    for path in volume.root.rglob("*"):
        os.utime(path, ns=(1_700_000_000_123_456_789,) * 2, follow_symlinks=False)
    return FolderStore(volume.root)


def copy(source: Store, target: Store) -> Progress:
    return copy_volume(source, target, lambda _: None)


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    """Return the content and time of every file of a folder, without the files that a copy leaves out."""
    found = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in found
        if "half-removed" not in path.parts
    }


def test_a_volume_goes_through_a_bucket_and_comes_out_with_every_byte_and_time(
    source: FolderStore, server: Server, tmp_path: Path
) -> None:
    bucket = server.store(prefix="backups/one")
    sent = copy(source, bucket)
    assert sent.files == sent.of_files == len(contents(source.root))
    assert sent.bytes == sent.of_bytes == sum(len(content) for content, _ in contents(source.root).values())
    brought = copy(bucket, FolderStore(tmp_path / "brought"))
    assert brought == sent
    assert contents(tmp_path / "brought") == contents(source.root)
    there = Volume(tmp_path / "brought")
    assert [job.id for job in map(there.job, there.job_ids()) if job] == Volume(source.root).job_ids()
    assert there.was_deleted("01ARZ3NDEKTSV4RRFFQ69G5FAV")


def test_a_copy_in_a_bucket_is_a_volume_for_a_service_once_it_is_whole(
    source: FolderStore, server: Server, tmp_path: Path
) -> None:
    bucket = server.store(prefix="backups/two")
    copy(source, bucket)
    marker = bucket.read(MARKER_FILE)
    assert marker is not None
    root = tmp_path / "api"
    settings = Settings(bucket=bucket.place, volume=root)
    with access_to(server):
        bucket.remove(MARKER_FILE)
        with pytest.raises(BucketUnusable, match="is not finished"):
            open_mirror(settings, root)
        bucket.create(MARKER_FILE, marker)
        looking = open_mirror(settings, root)
    assert looking is not None
    detach(root)
    assert Volume(root).job_ids() == Volume(source.root).job_ids()
    # The files of a volume in use change: the next copy would take old hashes for damage.
    assert list(bucket.list(COPY_FOLDER)) == []
    brought = copy(bucket, FolderStore(tmp_path / "back"))
    assert brought.files == len(contents(source.root))


def test_what_only_tells_those_who_share_a_bucket_is_no_part_of_a_copy(source: FolderStore, tmp_path: Path) -> None:
    before = contents(source.root)
    for name in ("changed/datasets/grades", "datasets/grades/reserved", "datasets/grades/reserved-1f"):
        source.create(name, b"{}")
    copy(source, FolderStore(tmp_path / "brought"))
    assert contents(tmp_path / "brought") == before


class CutStore:
    """A store that carries out `writes` changes and raises NoAnswer at every later one."""

    def __init__(self, store: Store, writes: int) -> None:
        self._store, self._left = store, writes
        self._counting = threading.Lock()
        self.names: list[str] = []

    def __getattr__(self, name: str) -> Any:
        ours = getattr(self._store, name)
        if name not in {"create", "replace", "remove"}:
            return ours

        def change(file: str, *arguments: Any) -> Any:
            with self._counting:
                self._left -= 1
                left = self._left
            if left >= 0:
                self.names.append(file)
                return ours(file, *arguments)
            raise NoAnswer("the network is gone")

        return change


@pytest.mark.parametrize(("kind", "step"), [("folder", 1), ("bucket", 6)])
def test_a_copy_that_is_cut_at_any_write_is_no_volume_and_the_same_call_finishes_it(
    source: FolderStore, server: Server, tmp_path: Path, kind: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_BATCH_FILES", 2)
    shutil.rmtree(next((source.root / "jobs").glob("*/*/attempts")))
    for writes in count(1, step):
        root = tmp_path / str(writes)
        target: Store = FolderStore(root) if kind == "folder" else server.store(prefix="target")
        try:
            copy(source, CutStore(target, writes))
        except NoAnswer:
            assert not is_whole(target)
        else:
            break
        if kind == "folder":
            refuse_to_start(root)
        on_record = len(CopyRecord(target).files.keys() - {MARKER_FILE})
        again = CutStore(target, 1000)
        copy(source, again)
        files = {entry.name for entry in places.list_files(source)}
        assert len(files.intersection(again.names)) == len(files) - on_record
        assert {entry.name for entry in target.list() if places.is_of_volume(entry.name)} == files
        assert is_whole(target)
    assert writes > len(places.list_files(source))


def is_whole(target: Store) -> bool:
    """Whether the target is a volume: it has its marker and, if it is a folder, no record of a copy."""
    is_marked = target.read(MARKER_FILE) is not None
    return is_marked and (not target.keeps_times or target.read(COPY_FILE) is None)


def refuse_to_start(root: Path) -> None:
    for start in (check_volume, Volume):
        with pytest.raises(OSError, match="the copy into this folder is unfinished"):
            start(root)


def test_what_changed_between_two_commands_is_copied_again_and_what_was_removed_is_not_there(
    source: FolderStore, tmp_path: Path
) -> None:
    target = FolderStore(tmp_path / "target")
    with pytest.raises(NoAnswer):
        copy(source, CutStore(target, len(contents(source.root))))
    source.replace("models/one/model.json", [b"new"])
    source.remove("datasets/grades/dataset.json")
    (target.root / "datasets" / ".data.parquet.0123456789ab.tmp").write_bytes(b"half")
    copy(source, target)
    assert contents(target.root) == contents(source.root)


def test_a_volume_that_changes_while_it_is_copied_is_no_copy_until_it_is_still(
    source: FolderStore, tmp_path: Path
) -> None:
    target = FolderStore(tmp_path / "target")
    with pytest.raises(CopyFailed, match=r"was changed while it was copied \(1 files, first 'open/5-new'\)"):
        copy_volume(source, target, lambda _: source.replace("open/5-new", [b""]))
    assert not is_whole(target)
    copy(source, target)
    assert contents(target.root) == contents(source.root)


def test_a_worker_that_lives_is_noticed_by_its_card_and_the_card_of_a_killed_one_is_not_in_the_way(
    source: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_LOOK_SECONDS", 0.01)
    source.replace("workers/one.json", [b"{}"])
    places.check_idle(source, seconds=0.05)
    listing = count()

    class Lives(CutStore):
        def list(self, folder: str = "") -> Iterator[Entry]:
            return (entry._replace(version=str(next(listing))) for entry in source.list(folder))

    with pytest.raises(CopyRefused, match="in use by the worker one; stop the service first: fitstop down"):
        copy(Lives(source, 0), FolderStore(tmp_path / "target"))
    assert not (tmp_path / "target").exists()


def test_places_that_cannot_be_copied_from_or_to_are_refused_with_the_reason(
    source: FolderStore, server: Server, tmp_path: Path
) -> None:
    full = server.store(prefix="full")
    full.create("photo.jpg", b"")
    other = FolderStore(Volume(tmp_path / "other").root)
    begun = FolderStore(tmp_path / "begun")
    with pytest.raises(NoAnswer):
        copy(source, CutStore(begun, 3))
    refused = [
        (FolderStore(tmp_path / "nothing"), full, "is not a volume: it has no fitstop-volume.json"),
        (source, full, "is not empty: it holds 'photo.jpg'"),
        (source, other, "already holds a whole volume"),
        (other, begun, "holds an unfinished copy of another volume"),
        (begun, full, "is an unfinished copy"),
        (source, FolderStore(source.root / "inside"), "overlap"),
        (source, source, "overlap"),
    ]
    for one, another, reason in refused:
        with pytest.raises(CopyRefused, match=reason):
            copy(one, another)
    assert [entry.name for entry in full.list()] == ["photo.jpg"]


def test_a_bucket_that_ignores_conditions_is_refused_before_anything_is_copied(source: FolderStore) -> None:
    with running_server(ignores_conditions=True) as server:
        bucket = server.store()
        with pytest.raises(Unfit, match="ignores If-None-Match"):
            copy(source, bucket)
        assert list(bucket.list()) == []


def test_two_copies_into_one_place_do_not_both_think_that_they_did_it(source: FolderStore, tmp_path: Path) -> None:
    target = FolderStore(tmp_path / "target")
    others = count()

    def interfere(_: Progress) -> None:
        target.create(f"fitstop-copy/files/{next(others) + 1:08d}", b'{"files":[]}')

    with pytest.raises(Overtaken, match="another process has written fitstop-copy/files"):
        copy_volume(source, target, interfere)
    assert not is_whole(target)


def test_a_file_that_was_damaged_in_the_bucket_is_named_and_is_no_part_of_a_volume(
    source: FolderStore, server: Server, tmp_path: Path
) -> None:
    bucket = server.store(prefix="damaged")
    copy(source, bucket)
    content = bucket.read("datasets/grades/dataset.json")
    assert content is not None
    bucket.replace("datasets/grades/dataset.json", [b"X" + content[1:]])
    with pytest.raises(CopyFailed, match=r"'datasets/grades/dataset.json' is damaged in s3://"):
        copy(bucket, FolderStore(tmp_path / "target"))
    refuse_to_start(tmp_path / "target")


def test_a_store_that_gives_other_bytes_than_it_was_given_is_found_out(source: FolderStore, tmp_path: Path) -> None:
    class Forgets(FolderStore):
        def replace(self, name: str, pieces: Iterable[bytes], modified_ns: int | None = None) -> None:
            super().replace(name, (piece.replace(b"a", b"b") for piece in pieces), modified_ns)

    with pytest.raises(CopyFailed, match=r"was read back from .* with other bytes than written"):
        copy(source, Forgets(tmp_path / "target"))


def test_a_copy_makes_the_requests_that_the_document_says(server: Server, tmp_path: Path) -> None:
    def count_requests(files: int) -> tuple[int, int]:
        root = Volume(tmp_path / f"source-{files}").root
        for number in range(files):
            (root / "turns" / str(number)).write_bytes(b"x")
        bucket = server.store(prefix=f"counted-{files}")
        before = server.requests.total()
        copy(FolderStore(root), bucket)
        between = server.requests.total()
        copy(bucket, FolderStore(tmp_path / f"out-{files}"))
        return between - before, server.requests.total() - between

    (in_fixed, out_fixed), (in_some, out_some) = count_requests(0), count_requests(100)
    assert in_fixed <= 95
    assert out_fixed <= 10
    assert in_some - in_fixed == 2 * 100 + 1
    assert out_some - out_fixed == 100 + 1
