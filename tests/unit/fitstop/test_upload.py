"""A folder is packed as a tar while it is sent: the same bytes each time, and as many as were announced."""

import io
import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstop.errors import Unsendable
from fitstop.terminal.datasets import describe_content, show_sent
from fitstop.upload import open_upload


@pytest.fixture
def pets(tmp_path):
    folder = tmp_path / "pets"
    for name, content in {"dog/b.png": b"B" * 1000, "dog/a.png": b"A" * 512, "cat/é.png": b"", ".git/x": b"x",
                          "cat/.DS_Store": b"x", "cat/Thumbs.db": b"x"}.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_folder_becomes_a_tar_of_its_files_of_the_announced_length(pets):
    upload = open_upload(pets)
    content = b"".join(upload.pieces())
    assert (upload.name, upload.media_type, upload.size) == ("pets.tar", "application/x-tar", len(content))
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = {one.name: archive.extractfile(one).read() for one in archive}
    assert list(members.items()) == [("cat/é.png", b""), ("dog/a.png", b"A" * 512), ("dog/b.png", b"B" * 1000)]


def test_the_same_names_and_contents_give_the_same_bytes(pets, tmp_path):
    before = b"".join(open_upload(pets).pieces())
    os.utime(pets / "dog" / "a.png", (1, 1))
    (pets / "dog" / "a.png").chmod(0o600)
    assert b"".join(open_upload(pets).pieces()) == before


NAMES = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=60)


@given(length=st.integers(0, 1100), name=NAMES)
def test_every_name_and_length_is_packed_whole(tmp_path_factory, length, name):
    folder = tmp_path_factory.mktemp("folder")
    (folder / "a").mkdir()
    file = folder / "a" / f"x{name}"
    file.write_bytes(b"x" * length)
    upload = open_upload(folder)
    content = b"".join(upload.pieces())
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        [member] = archive
    assert (member.name, member.size, len(content)) == (f"a/x{name}", length, upload.size)


def test_what_was_sent_is_reported_up_to_the_end(pets):
    upload, sent = open_upload(pets), []
    for piece in upload.pieces(lambda so_far, size: sent.append((so_far, size))):
        assert len(piece) <= 256 * 1024
    assert sent[-1] == (upload.size, upload.size)
    assert sent == sorted(sent)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"PAR1", "application/vnd.apache.parquet"),
        (b"PK\x03\x04", "application/zip"),
        (b"\x1f\x8b\x08", "application/gzip"),
        (b"a" + b"\0" * 256 + b"ustar\x00", "application/x-tar"),
        (b"a,b\n1,2\n", "text/csv"),
        (b"", "text/csv"),
    ],
)
def test_a_file_is_sent_as_it_is_with_the_type_of_its_content(tmp_path, head, kind):
    (tmp_path / "file").write_bytes(head)
    upload = open_upload(tmp_path / "file")
    assert (upload.media_type, upload.size, b"".join(upload.pieces())) == (kind, len(head), head)


def test_a_linked_file_is_packed_and_a_linked_folder_is_refused(pets, tmp_path):
    (tmp_path / "far.png").write_bytes(b"far")
    (pets / "dog" / "c.png").symlink_to(tmp_path / "far.png")
    assert b"far" in b"".join(open_upload(pets).pieces())
    (pets / "bird").symlink_to(tmp_path)
    with pytest.raises(Unsendable, match="bird is a link to a folder"):
        open_upload(pets)


def test_what_cannot_be_packed_is_named(pets, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(Unsendable, match="holds no files"):
        open_upload(tmp_path / "empty")
    os.mkfifo(pets / "dog" / "pipe")
    with pytest.raises(Unsendable, match="pipe is neither a file nor a folder"):
        open_upload(pets)


def test_a_file_that_becomes_shorter_or_goes_away_ends_the_upload(pets):
    upload = open_upload(pets)
    (pets / "dog" / "b.png").write_bytes(b"B")
    with pytest.raises(Unsendable, match="shrank"):
        list(upload.pieces())
    (pets / "dog" / "b.png").unlink()
    with pytest.raises(Unsendable, match="cannot be read"):
        list(upload.pieces())


def test_a_terminal_shows_a_bar_and_a_pipe_shows_none(monkeypatch, capsys):
    with show_sent() as on_sent:
        assert on_sent is None
    monkeypatch.setenv("FORCE_COLOR", "1")
    with show_sent() as on_sent:
        on_sent(512, 1024)
        on_sent(1024, 1024)
    assert "reading" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ({"rows": 1, "columns": [{}, {}]}, "1 row, 2 columns"),
        ({"rows": 37, "columns": [], "images": {"classes": [{}, {}]}}, "37 images, 2 classes"),
        ({"rows": 60, "columns": [], "images": None, "arrays": [{}]}, "60 rows, 1 array"),
    ],
)
def test_each_kind_is_described_by_what_it_holds(dataset, words):
    assert describe_content(dataset) == words
