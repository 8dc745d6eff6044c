"""PUT /datasets/{id}, and what the API shows of a dataset afterwards."""

import errno
import gzip
import hashlib
import io
import json
import pickle
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api import create_app
from api.datasets.file_formats import format_of
from api.datasets.upload import Upload
from api.datasets.upload_options import UploadOptions
from api.state.incoming import remove_leftovers
from shared.volume import Volume
from tests.support.ingesting import run_ingest
from tests.support.keys import authorized

WINE = b"type,ph,quality\nred,3.1,5\nwhite,,6\nred,3.3,6\n"


def in_folder(volume):
    return sorted(entry.name for entry in volume.datasets.iterdir())


def zipped(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, WINE)
    return content.getvalue()


def test_a_csv_file_becomes_a_dataset_that_a_job_can_name(client, volume):
    answer = client.put("/datasets/wine?name=wine.csv", data=WINE)
    shown = answer.json
    assert (answer.status_code, answer.headers["Location"]) == (201, "/datasets/wine")
    assert (shown["rows"], shown["source_name"], shown["source_format"]) == (3, "wine.csv", "csv")
    assert (shown["sha256"], shown["bytes"]) == (hashlib.sha256(WINE).hexdigest(), len(WINE))
    assert [(column["name"], column["missing"]) for column in shown["columns"]] == [
        ("type", 0),
        ("ph", 1),
        ("quality", 0),
    ]
    assert client.get("/datasets/wine").json == shown
    data = volume.data_file("wine")
    assert hashlib.sha256(data.read_bytes()).hexdigest() == shown["data_sha256"]
    assert pq.read_table(data).num_rows == 3
    assert sorted(entry.name for entry in data.parent.iterdir()) == ["data.parquet", "dataset.json"]
    regression = {"loss": "mean_squared_error"}  # two rows cannot give both parts two classes
    job = client.post("/jobs", json={"dataset": {"id": "wine", "target": "quality"}, "hyperparameters": regression})
    assert job.status_code == 202
    assert job.json["task"]["features"] == 2


def test_parquet_is_known_by_its_content_whatever_it_is_called(client):
    content = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", None]}), content)
    shown = client.put("/datasets/p?name=p.csv", data=content.getvalue()).json
    assert (shown["source_format"], shown["rows"]) == ("parquet", 2)


@pytest.mark.both_stores
def test_the_same_bytes_again_are_200_and_other_bytes_409(client, volume):
    first = client.put("/datasets/wine", data=WINE)
    again = client.put("/datasets/wine?name=other", data=WINE)
    assert (again.status_code, again.json) == (200, first.json)
    other = client.put("/datasets/wine", data=WINE + b"red,3,5\n")
    assert (other.status_code, other.json["code"]) == (409, "conflict")
    assert in_folder(volume) == ["wine"]
    assert client.get("/datasets/wine").json == first.json


def test_an_id_that_another_api_of_the_bucket_uploads_at_this_moment_is_409(client, monkeypatch):
    monkeypatch.setattr(Volume, "publish_dataset", lambda *_: False)
    found = client.put("/datasets/wine", data=WINE)
    assert (found.status_code, "is being uploaded by another client" in found.json["detail"]) == (409, True)


def test_the_same_bytes_read_in_another_way_are_409(client):
    assert client.put("/datasets/wine?column_kinds=ph:text&missing_values=x,y", data=WINE).status_code == 201
    same = "/datasets/wine?missing_values=y&missing_values=x&column_kinds=ph:text"
    assert client.put(same, data=WINE).status_code == 200
    other = client.put("/datasets/wine", data=WINE)
    assert (other.status_code, "other missing_values or column_kinds" in other.json["detail"]) == (409, True)


@pytest.mark.parametrize(
    "query", ["column_kinds=a", "column_kinds=a:int", "column_kinds=:text", "column_kinds=a:text,"]
)
def test_kinds_that_cannot_be_read_are_422(client, query):
    answer = client.put(f"/datasets/wine?{query}", data=WINE)
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "#/query/column_kinds")


def test_names_in_column_kinds_may_hold_colons_and_commas(client):
    answer = client.put("/datasets/odd?column_kinds=a:b,c:text,d:number", data=b'"a:b,c",d\n1,2\n')
    assert answer.json["column_kinds"] == {"a:b,c": "text", "d": "number"}


def test_a_dataset_of_before_these_options_is_read_and_found_the_same(client, volume):
    client.put("/datasets/wine", data=WINE)
    path = volume.dataset_folder("wine") / "dataset.json"
    document = json.loads(path.read_bytes())
    for name in ("missing_values", "column_kinds", "left_out", "warnings"):
        del document[name]
    for column in document["columns"]:
        for name in ("missing_marks", "datetime_format", "earliest", "latest"):
            del column[name]
    path.write_text(json.dumps(document))
    assert client.put("/datasets/wine", data=WINE).status_code == 200
    assert client.get("/datasets/wine").json["warnings"] == []


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "empty"),
        (b"a,b\n", 422, "no_rows"),
        (b"a,b\n1,inf\n", 422, "infinite"),
        (b"PAR1xxxx", 422, "unreadable"),
        (b"x" * 200_001, 413, "too_large"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(client, volume, content, status, code):
    answer = client.put("/datasets/wine", data=content)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert code in {answer.json["code"], *(problem["code"] for problem in answer.json.get("errors", []))}
    assert in_folder(volume) == []
    assert client.get("/datasets/wine").status_code == 404


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(WINE),
        zipped("[Content_Types].xml"),
        zipped("mimetype"),
        zipped("metadata.json", "config.json"),
        b"\x89HDF\r\n\x1a\n",
        b"\x93NUMPY\x01",
        *(pickle.dumps([1], n) for n in range(2, 6)),
    ],
    ids=["gzip", "xlsx", "odt", "keras", "HDF5", "npy", *(f"pickle {n}" for n in range(2, 6))],
)
def test_other_formats_are_415_by_their_content(client, volume, content):
    answer = client.put("/datasets/wine?name=wine.csv", data=content)
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_format")
    assert in_folder(volume) == []


def test_a_pickle_of_the_oldest_protocols_is_text_that_is_never_run(client):
    assert client.put("/datasets/wine", data=pickle.dumps(print, 0)).status_code == 422


def test_a_form_and_an_encoded_body_are_415(client):
    assert client.put("/datasets/wine", data={"file": (io.BytesIO(WINE), "w.csv")}).status_code == 415
    answer = client.put("/datasets/wine", data=WINE, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.headers["Accept-Encoding"]) == (415, "identity")


@pytest.mark.parametrize("part", ["bytes 40-79/80", "bytes 0-79/80", "bytes */80", "x"])
def test_a_part_of_a_file_is_refused_and_nothing_is_stored(client, volume, part):
    answer = client.put("/datasets/wine", data=WINE, headers={"Content-Range": part})
    assert (answer.status_code, answer.json["code"]) == (400, "partial_upload")
    assert in_folder(volume) == []


@pytest.mark.parametrize("name", ["A", ".x", "..", "a b", "-a", "a" * 65, "%00", "é", ".incoming-1"])
def test_an_id_that_names_no_folder_is_422(client, volume, name):
    answer = client.put(f"/datasets/{name}", data=WINE)
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "#/id")
    assert client.get(f"/datasets/{name}").status_code == 404
    assert in_folder(volume) == []


@pytest.mark.parametrize("query", ["name=", "name=a%0Ab", "name=%1b", "name=" + "x" * 257, "other=1", "name=a&name=b"])
def test_a_source_name_is_plain_text(client, query):
    assert client.put(f"/datasets/wine?{query}", data=WINE).status_code == 422


def test_datasets_are_listed_newest_first_page_by_page_and_a_damaged_one_hides_no_other(client, volume):
    for name in ("one", "two", "three"):
        client.put(f"/datasets/{name}", data=WINE)
    (volume.dataset_folder("two") / "dataset.json").write_bytes(b"{")
    first = client.get("/datasets?limit=1").json
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (["three"], True)
    second = client.get("/datasets?limit=1&after=three").json
    assert ([one["id"] for one in second["data"]], second["has_more"]) == (["one"], False)
    assert client.get("/datasets?after=nothing").status_code == 422
    assert client.get("/datasets?after=..%2fopen").status_code == 422
    assert client.get("/datasets/two").json["code"] == "damaged_record"


@pytest.mark.both_stores
def test_the_next_page_is_found_behind_a_dataset_that_was_deleted_meanwhile(client, volume):
    for name in ("one", "two", "three"):
        client.put(f"/datasets/{name}", data=WINE)
    assert client.delete("/datasets/two").status_code == 204
    page = client.get("/datasets?after=two").json
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (["one"], False)
    volume.remove_leftovers()
    assert client.get("/datasets?after=two").status_code == 200
    assert client.get("/datasets/two").status_code == 404


def test_a_parser_that_takes_too_long_or_too_much_is_a_refusal(settings, volume):
    hasty = authorized(create_app(settings.model_copy(update={"ingest_timeout_seconds": 0.01})))
    answer = hasty.put("/datasets/wine", data=WINE)
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (422, "too_heavy")
    poor = authorized(create_app(settings.model_copy(update={"ingest_memory_bytes": 100_000})))
    answer = poor.put("/datasets/wine", data=b"a,b\n" + b"1,2\n" * 10_000)
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (422, "too_heavy")
    assert in_folder(volume) == []


def test_a_large_upload_has_more_time(tmp_path, settings, app, monkeypatch):
    asked = []
    monkeypatch.setattr("api.state.parser._run", lambda *given: asked.append(given[-1]) or {"facts": {}})
    for size in (0, 1024**3 - 1, 5 * 1024**3):
        (tmp_path / "upload").touch()
        with app.app_context():
            Upload(tmp_path, "zip", size, "").parse(settings, UploadOptions())
    assert asked == [300, 300, 1800]


def test_a_volume_that_fails_while_the_upload_is_read_is_named_by_its_error(tmp_path):
    (tmp_path / "upload").write_bytes(WINE)
    (tmp_path / "data.parquet").mkdir()
    assert run_ingest(tmp_path) == {"errno": errno.EISDIR}


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EIO, 503), (errno.EROFS, 503)])
def test_a_volume_that_fails_under_an_upload_is_no_error_of_ours(client, volume, monkeypatch, number, status):
    monkeypatch.setattr("api.state.parser._run", lambda *_: {"errno": number})
    assert client.put("/datasets/wine", data=WINE).status_code == status
    assert in_folder(volume) == []


def test_what_a_killed_process_left_is_removed_at_the_next_start(settings, volume):
    with authorized(create_app(settings)) as client:
        client.put("/datasets/wine", data=WINE)
    from api.state.incoming import _host

    (volume.datasets / f".incoming-{_host()}-999999999-abc").mkdir()
    (volume.datasets / f".incoming-{_host()}-1-abc").mkdir()
    (volume.datasets / ".incoming-otherhost-999999999-abc").mkdir()
    remove_leftovers(volume.datasets)
    assert in_folder(volume) == [f".incoming-{_host()}-1-abc", ".incoming-otherhost-999999999-abc", "wine"]


@pytest.mark.parametrize("head", [b"a,b\n", b"\xef\xbb\xbfa,b", b"", b"PK,b", b"ORDER,b"])
def test_a_beginning_that_is_no_magic_number_is_csv(head):
    assert format_of(head) == "csv"
