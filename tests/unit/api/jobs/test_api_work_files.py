"""GET /jobs/{id}/files: lists and sends a script's files, whatever a hostile script makes of its folder."""

import os
from urllib.parse import quote

import pytest

from api.jobs import work_files
from shared.mirror.attached import detach
from shared.mirror.known import KnownFiles
from shared.mirror.mirror import Mirror
from shared.mirror.push import AttemptPush
from shared.program import unpack
from tests.support.bucket import running_server
from tests.support.jobs import claim
from tests.support.programs import put_program

FILES = {"train.py": b"import keras\n", "lib/data.csv": b"1\n"}


@pytest.fixture
def program_job(client, volume):
    put_program(volume, files=FILES)
    return volume.job(client.post("/jobs", json={"program": {"id": "mine"}}).json["id"])


@pytest.fixture
def attempt(program_job, volume):
    """A claimed attempt with the files of its script."""
    claimed = claim(program_job)
    unpack(volume.programs.version_folder("mine", program_job.record().program_version), claimed.files)
    return claimed


def write(attempt, files):
    for name, content in files.items():
        (attempt.files / name).parent.mkdir(parents=True, exist_ok=True)
        (attempt.files / name).write_bytes(content)


@pytest.fixture
def listed(client, program_job):
    def ask():
        answer = client.get(f"/jobs/{program_job.id}/files")
        assert answer.status_code == 200
        return answer.json

    return ask


@pytest.fixture
def get(client, program_job):
    def ask(path, **headers):
        return client.get(f"/jobs/{program_job.id}/files/{quote(path)}", headers=headers, buffered=True)

    return ask


def paths(listing):
    return [one["path"] for one in listing["data"]]


def test_what_the_script_made_or_changed_is_listed_by_path(attempt, listed):
    assert listed() == {"object": "list", "data": [], "has_more": False, "left_out": 0}
    write(attempt, {"out/b.txt": b"bb", "out/a.txt": b"a", "lib/data.csv": b"2\n", ".tmp/x": b"", "__pycache__/x": b""})
    os.utime(attempt.files / "out" / "a.txt", (0, 1_000_000_000))
    listing = listed()
    assert paths(listing) == ["lib/data.csv", "out/a.txt", "out/b.txt"]
    changed = {"object": "job_file", "path": "out/a.txt", "bytes": 1, "changed_at": "2001-09-09T01:46:40.000Z"}
    assert listing["data"][1] == changed


@pytest.fixture
def mirror(volume, tmp_path):
    """A mirror of a bucket in the volume's folder."""
    with running_server() as server:
        yield Mirror(volume.root, server.store(), KnownFiles(tmp_path / "known.sqlite"))
    detach(volume.root)


def test_of_a_bucket_large_files_are_listed_before_they_are_brought(attempt, program_job, mirror, listed, get):
    large = bytes(2_000_000)
    write(attempt, {"large.bin": large, "small.txt": b"s"})
    AttemptPush(mirror, attempt).push()
    job = mirror.name_of(program_job.path)
    mirror.store.create(f"{job}/spec.json", program_job.spec_file.read_bytes())
    mirror.folder.sync(job)
    assert not (attempt.files / "large.bin").exists()
    listing = listed()
    assert [(one["path"], one["bytes"]) for one in listing["data"]] == [("large.bin", len(large)), ("small.txt", 1)]
    assert listing["left_out"] == 0
    assert get("large.bin").data == large


def test_the_files_that_a_script_began_with_are_not_uploaded(attempt, mirror):
    write(attempt, {"lib/data.csv": b"2\n"})
    AttemptPush(mirror, attempt).push()
    uploaded = {entry.name for entry in mirror.store.list(mirror.name_of(attempt.files))}
    assert uploaded == {mirror.name_of(attempt.files / "lib" / "data.csv")}


def test_a_job_without_a_script_that_has_begun_has_no_files(client, job, listed):
    assert paths(listed()) == []
    assert client.get(f"/jobs/{job.id}/files").json["data"] == []
    assert client.get(f"/jobs/{job.id}/files/x").status_code == 404


def test_files_are_those_of_the_newest_attempt(program_job, attempt, listed):
    from shared.job import AttemptEnd
    from shared.times import utc_now

    write(attempt, {"first.txt": b"1"})
    attempt.close(AttemptEnd(outcome="handed_back", ended_at=utc_now()))
    second = claim(program_job, 2)
    assert paths(listed()) == ["first.txt"], "the second attempt has none yet"
    second.files.mkdir()
    write(second, {"second.txt": b"2"})
    assert paths(listed()) == ["second.txt"]


def test_a_file_is_sent_as_a_download_and_in_ranges(attempt, get):
    write(attempt, {"out/page.html": b"<script>0123456789"})
    answer = get("out/page.html")
    assert (answer.status_code, answer.data) == (200, b"<script>0123456789")
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename=page.html"
    part = get("out/page.html", Range="bytes=8-11")
    assert (part.status_code, part.data, part.headers["Content-Range"]) == (206, b"0123", "bytes 8-11/18")
    assert get("out/page.html", Range="bytes=18-").status_code == 416
    assert get("out/page.html", **{"If-None-Match": answer.headers["ETag"]}).status_code == 304
    write(attempt, {"out/page.html": b"other"})
    assert get("out/page.html", Range="bytes=0-1", **{"If-Range": answer.headers["ETag"]}).data == b"other"


def test_a_file_that_grows_while_it_is_sent_is_not_longer_than_announced(attempt, get, monkeypatch):
    write(attempt, {"log.txt": b"12345"})
    bounded = work_files._Bounded

    def grow(file, size):
        write(attempt, {"log.txt": b"1234567890"})
        return bounded(file, size)

    monkeypatch.setattr(work_files, "_Bounded", grow)
    answer = get("log.txt")
    assert (answer.headers["Content-Length"], answer.data) == ("5", b"12345")


@pytest.mark.parametrize("kind", ["file", "folder", "inner folder", "the folder itself"])
def test_no_link_is_followed_and_it_is_no_file(attempt, listed, get, tmp_path, kind):
    secret = tmp_path / "outside" / "secret.txt"
    secret.parent.mkdir()
    secret.write_text("secret")
    write(attempt, {"plain.txt": b"x"})
    if kind == "file":
        (attempt.files / "secret.txt").symlink_to(secret)
    elif kind == "folder":
        (attempt.files / "to").symlink_to(secret.parent)
    elif kind == "inner folder":
        write(attempt, {"a/b.txt": b"x"})
        (attempt.files / "a" / "to").symlink_to(secret.parent)
    else:
        attempt.files.rename(tmp_path / "moved")
        attempt.files.symlink_to(secret.parent)
    listing = listed()
    assert "secret.txt" not in str(paths(listing))
    for path in ("secret.txt", "to/secret.txt", "a/to/secret.txt"):
        assert get(path).status_code == 404


def test_a_folder_that_becomes_a_link_while_it_is_read_is_not_followed(attempt, listed, tmp_path, monkeypatch):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("secret")
    write(attempt, {"one/a.txt": b"x"})
    real = os.open

    def swap(path, flags, *more, **options):
        if path == "one":
            (attempt.files / "one").rename(attempt.files / "two")
            (attempt.files / "one").symlink_to(tmp_path / "outside")
        return real(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", swap)
    assert "secret.txt" not in str(listed())


@pytest.mark.parametrize(
    "path",
    [
        *("../claim.json", "out/../../claim.json", "..", ".", "/etc/passwd", "out", "out//a.txt", "missing.txt"),
        *(".tmp/x", "a\0b", "a" * 300, "/".join(["a"] * 2500), "train.py/x"),
    ],
)
def test_a_path_that_is_no_file_of_the_folder_is_not_found(attempt, get, path):
    write(attempt, {"out/a.txt": b"x", ".tmp/x": b"x"})
    assert get(path).status_code == 404


def test_special_files_and_names_of_bytes_are_counted_and_not_listed(attempt, listed, get):
    os.mkfifo(attempt.files / "pipe")
    os.close(os.open(os.fsencode(attempt.files) + b"/\xff.txt", os.O_CREAT))
    (attempt.files / "link").symlink_to("nowhere")
    write(attempt, {"a\r\nX-Evil: 1.txt": b"x"})
    listing = listed()
    assert (paths(listing), listing["left_out"]) == ([], 4)
    assert get("a\r\nX-Evil: 1.txt").status_code == 404
    assert get("pipe").status_code == 404


def test_hostile_names_and_times_are_data(attempt, listed, get):
    names = ['q"uote.txt', "<img src=x>.html", "ü \u202e.txt", "back\\slash"]
    write(attempt, dict.fromkeys(names, b"x"))
    os.utime(attempt.files / names[0], (0, 2**40))
    listing = listed()
    assert sorted(paths(listing)) == sorted(names)
    assert [one["changed_at"] for one in listing["data"] if one["path"] == names[0]] == [None]
    for name in names:
        answer = get(name)
        assert (answer.status_code, answer.data) == (200, b"x"), name
        assert answer.headers["Content-Disposition"].startswith("attachment;")


def test_deep_and_numerous_files_are_bounded(attempt, listed, monkeypatch):
    monkeypatch.setattr(work_files, "MOST_FILES", 5)
    write(attempt, {f"{number}.txt": b"" for number in range(9)})
    listing = listed()
    assert (len(listing["data"]), listing["has_more"]) == (5, True)


def test_folders_deeper_than_any_program_has_are_not_read(attempt, listed):
    write(attempt, {f"{'d/' * 32}in.txt": b"", f"{'d/' * 40}out.txt": b""})
    assert paths(listed()) == [f"{'d/' * 32}in.txt"]


def test_a_program_that_was_deleted_hides_no_file(client, program_job, attempt, volume, listed):
    write(attempt, {"out.txt": b"x"})
    volume.remove_program("mine")
    assert paths(listed()) == ["lib/data.csv", "out.txt", "train.py"]
