"""Programs on the volume: versions by content, and unpacking that trusts nothing."""

import json
import os
import zipfile

import pytest

from shared.document import UnusableDocument
from shared.program import ARCHIVE, DOCUMENT, default_entry, hash_program, unpack
from shared.volume import Volume
from tests.support.programs import SCRIPT, put_program

FILES = {"train.py": SCRIPT, "lib/layers.py": b"x = 1\n", "lib/data/empty.txt": b""}


@pytest.fixture
def volume(tmp_path):
    return Volume(tmp_path / "volume")


def test_the_same_files_are_the_same_version_and_the_last_upload_is_the_latest(volume):
    first, second = put_program(volume, files=FILES), put_program(volume, files={**FILES, "train.py": b"other\n"})
    assert first.version != second.version
    assert volume.program("mine").version == second.version
    assert volume.program("mine", first.version) == first
    assert volume.programs.versions("mine") == [second.version, first.version]
    assert put_program(volume, files=FILES).version == first.version
    assert volume.program("mine").version == first.version
    assert sorted(volume.programs.versions("mine")) == sorted([second.version, first.version])


def test_versions_keep_their_order_where_their_folders_have_new_times_as_in_a_copy_of_the_volume(volume):
    first, second = put_program(volume, files=FILES), put_program(volume, files={**FILES, "train.py": b"other\n"})
    for second_of_upload, version in enumerate([first.version, second.version], start=1):
        folder = volume.programs.version_folder("mine", version)
        os.utime(folder / "program.json", (second_of_upload, second_of_upload))
        os.utime(folder, (10 - second_of_upload, 10 - second_of_upload))
    assert volume.programs.versions("mine") == [second.version, first.version]


def test_a_path_is_part_of_the_version():
    assert hash_program([("a", "1"), ("b", "2")]) == hash_program([("b", "2"), ("a", "1")])
    assert hash_program([("a", "1"), ("b", "2")]) != hash_program([("a", "2"), ("b", "1")])


def test_what_is_no_program_is_none(volume):
    assert volume.program("nobody") is None
    put_program(volume)
    for version in ("0" * 64, "..", "A" * 64):
        assert volume.program("mine", version) is None
    for wrong in ("../mine", ".mine", ""):
        assert volume.program(wrong) is None
    assert volume.remove_program("mine")
    assert volume.program("mine") is None
    assert not volume.remove_program("mine")


def test_an_archive_is_the_same_whenever_it_is_written(volume, tmp_path):
    folder = volume.programs.version_folder("mine", put_program(volume, files=FILES).version)
    other = Volume(tmp_path / "other")
    again = other.programs.version_folder("mine", put_program(other, files=FILES).version)
    assert (folder / ARCHIVE).read_bytes() == (again / ARCHIVE).read_bytes()


@pytest.mark.parametrize(
    ("paths", "entry"),
    [
        (["fit_cats.py", "lib/main.py"], "fit_cats.py"),
        (["a.py", "main.py", "train.py"], "main.py"),
        (["a.py", "train.py"], "train.py"),
        (["a.py", "b.py"], None),
        (["lib/train.py"], None),
    ],
)
def test_the_entry_that_a_job_need_not_name(paths, entry):
    assert default_entry(paths) == entry


def unpacked(into):
    return {str(file.relative_to(into)): file.read_bytes() for file in into.rglob("*") if file.is_file()}


def test_unpacking_writes_the_files_and_replaces_what_is_there(volume, tmp_path):
    folder = volume.programs.version_folder("mine", put_program(volume, files=FILES).version)
    into = tmp_path / "into"
    unpack(folder, into)
    assert unpacked(into) == FILES
    assert (into / "train.py").stat().st_mtime_ns == volume.program("mine").uploaded_at
    (into / "train.py").write_bytes(b"changed")
    (into / "own.txt").write_bytes(b"kept")
    unpack(folder, into)
    assert unpacked(into) == {**FILES, "own.txt": b"kept"}


def test_unpacking_writes_through_no_link(volume, tmp_path):
    folder = volume.programs.version_folder("mine", put_program(volume, files=FILES).version)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    into = tmp_path / "into"
    into.mkdir()
    (into / "train.py").symlink_to(outside / "kept.txt")
    (into / "lib").symlink_to(outside)
    with pytest.raises(OSError, match="Not a directory"):
        unpack(folder, into)
    (into / "lib").unlink()
    unpack(folder, into)
    assert unpacked(into) == FILES
    assert unpacked(outside) == {"kept.txt": b"kept"}


def damage_archive(folder, files):
    (folder / ARCHIVE).unlink()
    with zipfile.ZipFile(folder / ARCHIVE, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "damaged"),
        ({**FILES, "train.py": SCRIPT + b"more"}, "more than"),
        ({**FILES, "train.py": b"x" * len(SCRIPT)}, "are not those of version"),
    ],
    ids=["missing", "longer", "other content"],
)
def test_an_archive_of_other_files_is_refused(volume, tmp_path, files, says):
    folder = volume.programs.version_folder("mine", put_program(volume, files=FILES).version)
    damage_archive(folder, files)
    with pytest.raises(UnusableDocument, match=says):
        unpack(folder, tmp_path / "into")


def test_an_archive_that_is_a_link_or_no_archive_is_refused(volume, tmp_path):
    folder = volume.programs.version_folder("mine", put_program(volume).version)
    (folder / ARCHIVE).rename(tmp_path / "elsewhere.zip")
    with pytest.raises(UnusableDocument, match="missing"):
        unpack(folder, tmp_path / "into")
    (folder / ARCHIVE).symlink_to(tmp_path / "elsewhere.zip")
    with pytest.raises(UnusableDocument, match="link"):
        unpack(folder, tmp_path / "into")
    (folder / ARCHIVE).unlink()
    (folder / ARCHIVE).write_bytes(b"no zip")
    with pytest.raises(UnusableDocument, match="damaged"):
        unpack(folder, tmp_path / "into")


@pytest.mark.parametrize("path", ["../out.py", "/out.py", "a/../../out.py", "a//b.py", "./a.py", "a\0b.py", ""])
def test_a_document_that_names_a_path_outside_is_refused(volume, tmp_path, path):
    folder = volume.programs.version_folder("mine", put_program(volume).version)
    document = json.loads((folder / DOCUMENT).read_text())
    document["files"][0]["path"] = path
    (folder / DOCUMENT).write_text(json.dumps(document))
    damage_archive(folder, {path or "train.py": SCRIPT})
    with pytest.raises(UnusableDocument):
        unpack(folder, tmp_path / "into")
    assert not (tmp_path / "out.py").exists()
