"""Images and arrays over a real server: uploads larger than a table may be, a folder by the command, and bad ones."""

import socket
import tarfile

import numpy as np
import pytest
from click.testing import CliRunner

from fitstop.cli.main import main
from tests.support.archives import class_folders, npz_of, picture, tar_of, zip_of
from tests.support.keys import ADMIN_KEY, AUTHORIZATION
from tests.support.waiting import wait_for


def incoming(api):
    return [path.name for path in api.volume.datasets.glob(".incoming-*")]


@pytest.fixture
def large(api):
    """Images with more bytes together than the server accepts as a table (3 MB)."""
    return {f"{name}/{number}.bmp": picture(number, (300, 300), "BMP") for name in ("a", "b") for number in range(7)}


@pytest.mark.parametrize("chunked", [False, True])
def test_images_are_taken_in_one_piece_and_in_chunks(api, large, chunked):
    content = tar_of(large)
    assert len(content) > 3_000_000
    body = (content[at : at + 100_000] for at in range(0, len(content), 100_000)) if chunked else content
    headers = {"Transfer-Encoding": "chunked"} if chunked else {}
    answer = api.ask("PUT", f"/datasets/large-{chunked}".lower(), body, chunked, **headers)
    assert (answer.status, answer.json["kind"], answer.json["rows"]) == (201, "images", 14)
    assert incoming(api) == []


def test_the_command_packs_a_folder_and_the_same_folder_again_changes_nothing(api, tmp_path, monkeypatch):
    for name, content in class_folders(4, "pets/train/").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    monkeypatch.setenv("FITSTOP_API_KEY", ADMIN_KEY)
    command = ["--url", f"http://127.0.0.1:{api.port}", "datasets", "put", "packed", str(tmp_path / "pets")]
    for _ in range(2):
        result = CliRunner().invoke(main, command)
        assert (result.exit_code, result.stdout) == (0, "packed\n"), result.stderr
        assert "8 images, 2 classes" in result.stderr
    shown = api.ask("GET", "/datasets/packed").json
    assert (shown["source_format"], shown["source_name"]) == ("tar", "pets.tar")
    assert [one["train"] for one in shown["images"]["classes"]] == [4, 4]
    assert len(api.ask("GET", "/datasets/packed/images?class=cat").json["data"]) == 4
    (tmp_path / "pets" / "train" / "cat" / "0.png").write_bytes(b"broken")
    refused = CliRunner().invoke(main, [*command[:4], "other", command[-1]])
    assert (refused.exit_code, "is not an image" in refused.stderr) == (6, True)


def test_arrays_are_read_as_numpy_wrote_them(api):
    x = np.random.default_rng(1).normal(size=(500, 1000))
    answer = api.ask("PUT", "/datasets/arrays", npz_of(x=x, y=np.arange(500) % 2))
    assert (answer.status, answer.json["kind"]) == (201, "arrays")
    folder = api.volume.dataset_folder("arrays") / "arrays"
    assert np.array_equal(np.load(folder / "x.npy", mmap_mode="r"), x)
    assert api.ask("DELETE", "/datasets/arrays").status == 204


def link():
    entry = tarfile.TarInfo("cat/link.png")
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return entry


HOSTILE = {
    "a link": lambda: tar_of([*class_folders().items(), (link(), b"")]),
    "a name outside": lambda: zip_of(class_folders() | {"../../outside.png": picture()}),
    "an archive inside": lambda: zip_of(class_folders() | {"cat/more.zip": zip_of({"a.png": picture()})}),
    "cut short": lambda: zip_of(class_folders())[:-30],
    "a pickle": lambda: npz_of(x=np.array([print] * 4, dtype=object), y=np.arange(4)),
    "no image": lambda: tar_of(class_folders() | {"cat/text.jpg": b"text"}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_archive_is_422_and_leaves_nothing(api, name):
    answer = api.ask("PUT", "/datasets/hostile", HOSTILE[name]())
    assert (answer.status, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert answer.json["errors"]
    assert str(api.volume.root) not in answer.body.decode()
    assert incoming(api) == []
    assert api.ask("GET", "/datasets/hostile").status == 404


def test_a_client_that_goes_away_in_mid_archive_leaves_nothing(api, large):
    content = tar_of(large)
    head = f"PUT /datasets/gone HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n"
    key = "".join(f"{name}: {value}\r\n" for name, value in AUTHORIZATION.items())
    with socket.create_connection(("127.0.0.1", api.port)) as connection:
        connection.sendall((head + key + "\r\n").encode() + content[: len(content) // 2])
        wait_for(lambda: incoming(api), 10)
    wait_for(lambda: not incoming(api), 10)
    assert api.ask("GET", "/datasets/gone").status == 404
