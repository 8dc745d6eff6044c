import csv
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from fitstop.local.demo import dataset_id_of, find_data, find_images, spec_for
from fitstop.local.wine import NoWine, Published, fetch_wine, join_wine, write_breast_cancer

RED = b'"fixed acidity";"pH";"quality"\r\n7.4;3.51;5\r\n7.8;3.2;6\r\n'
WHITE = b'"fixed acidity";"pH";"quality"\n7;3;6\n'
JOINED = b"type,fixed acidity,pH,quality\nwhite,7,3,6\nred,7.4,3.51,5\nred,7.8,3.2,6\n"


def published(name, kind, content):
    return Published(name, kind, len(content), hashlib.sha256(content).hexdigest())


FILES = (published("white.csv", "white", WHITE), published("red.csv", "red", RED))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        self.server.seen.append(self.path)


@pytest.fixture
def uci(tmp_path):
    """A server on this machine that publishes the files and records its requests."""
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "white.csv").write_bytes(WHITE)
    (folder / "red.csv").write_bytes(RED)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        server.seen = []
        server.folder = folder
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_two_files_become_one_with_a_type(uci, tmp_path):
    assert fetch_wine(tmp_path / "cache", uci.url, FILES).read_bytes() == JOINED


def test_what_was_fetched_once_is_not_fetched_again(uci, tmp_path):
    fetch_wine(tmp_path / "cache", uci.url, FILES)
    asked = len(uci.seen)
    assert asked == 2
    assert fetch_wine(tmp_path / "cache", uci.url, FILES).read_bytes() == JOINED
    assert len(uci.seen) == asked


def test_a_damaged_cache_is_fetched_again(uci, tmp_path):
    fetch_wine(tmp_path / "cache", uci.url, FILES)
    (tmp_path / "cache" / "red.csv").write_bytes(RED[:-3])
    assert fetch_wine(tmp_path / "cache", uci.url, FILES).read_bytes() == JOINED


@pytest.mark.parametrize("content", [WHITE.replace(b"7", b"8"), WHITE + b"1;2;3\n", WHITE[:-2], b""])
def test_other_bytes_than_the_published_ones_are_refused_and_not_kept(uci, tmp_path, content):
    (uci.folder / "white.csv").write_bytes(content)
    with pytest.raises(NoWine, match="expected"):
        fetch_wine(tmp_path / "cache", uci.url, FILES)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_missing_file_and_a_silent_host_are_no_wine(uci, tmp_path):
    (uci.folder / "red.csv").unlink()
    with pytest.raises(NoWine, match="404"):
        fetch_wine(tmp_path / "cache", uci.url, FILES)
    with pytest.raises(NoWine):
        fetch_wine(tmp_path / "cache", "http://127.0.0.1:1", FILES)


def test_files_with_other_columns_are_not_joined():
    with pytest.raises(NoWine, match="columns"):
        join_wine([("white", WHITE), ("red", RED.replace(b"pH", b"ph"))])


def test_offline_the_shipped_data_is_taken_and_said_so(tmp_path, capsys):
    data = find_data(None, tmp_path, {"FITSTOP_WINE_URL": "http://127.0.0.1:1"})
    assert data.dataset_id == "breast-cancer"
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "scikit-learn" in said.err
    with data.path.open() as file:
        rows = list(csv.reader(file))
    assert len(rows) == 570
    assert len(rows[0]) == 31
    assert rows[0][-1] == "diagnosis"
    assert {row[-1] for row in rows[1:]} == {"malignant", "benign"}


def test_the_shipped_data_is_the_same_bytes_each_time(tmp_path):
    first = write_breast_cancer(tmp_path / "a").read_bytes()
    assert write_breast_cancer(tmp_path / "b").read_bytes() == first


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("x.csv", b'type,"pH",quality\r\n', "wine-quality"),
        ("My Data (2).csv", b"a,b\n", "my-data-2"),
        ("....csv", b"a,b\n", "data"),
        ("Äß.parquet", b"PAR1", "data"),
        ("x" * 99 + ".csv", b"", "x" * 48),
    ],
)
def test_a_file_suggests_its_id(tmp_path, name, head, expected):
    path = tmp_path / name
    path.write_bytes(head)
    assert dataset_id_of(path) == expected


def test_the_last_column_is_the_target_where_there_is_no_quality(capsys):
    dataset = {"id": "iris", "columns": [{"name": "width"}, {"name": "species"}]}
    assert spec_for(dataset) == {"name": "iris", "dataset": {"id": "iris", "target": "species"}}
    assert '"species"' in capsys.readouterr().err
    wine = spec_for({"id": "w", "columns": [{"name": "quality"}, {"name": "type"}]})
    assert wine["dataset"] == {"id": "w", "target": "quality", "positive": {"at_least": 6}}


def test_the_digits_are_images_in_ten_folders(tmp_path):
    found = find_images(tmp_path)
    folders = sorted(path.name for path in found.path.iterdir())
    assert (found.dataset_id, folders) == ("digits", list("0123456789"))
    assert sum(1 for _ in found.path.rglob("*.png")) == 1797
    with Image.open(found.path / "0" / "0000.png") as image:
        assert (image.size, image.mode, image.getextrema()[1]) == ((8, 8), "L", 239)
    assert spec_for({"id": "digits", "kind": "images", "columns": []}) == {
        "name": "digits",
        "dataset": {"id": "digits"},
    }
