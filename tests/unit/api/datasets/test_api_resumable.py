"""Uploads that continue after an interruption: begin, append, complete, cancel, and refusals."""

import base64
import hashlib
import os
from dataclasses import dataclass
from typing import Any

import pytest

from api.state.incoming import remove_leftovers
from api.state.partial_uploads import KEPT_SECONDS, all_uploads, remove_expired
from api.state.service import Service
from shared.problems import NotFound
from tests.support.keys import authorized

TABLE = b"kind,size,label\n" + b"".join(b"%s,%d.5,%d\n" % (b"red" if n % 2 else b"blue", n, n % 2) for n in range(900))


@dataclass
class Upload:
    """One upload of a client."""

    client: Any
    content: bytes = TABLE
    dataset: str = "big"
    query: str = ""

    @property
    def path(self) -> str:
        return f"/datasets/{self.dataset}/uploads/one"

    def begin(self, **headers: str) -> Any:
        length = {"Upload-Length": str(len(self.content)), **headers}
        return self.client.put(self.path + self.query, headers=length)

    def append(self, start: int, end: int, complete: str = "?0", **headers: str) -> Any:
        more = {"Upload-Offset": str(start), "Upload-Complete": complete, "Content-Type": "application/partial-upload"}
        return self.client.patch(self.path, data=self.content[start:end], headers={**more, **headers})

    def complete(self, content: bytes | None = None) -> Any:
        digest = base64.b64encode(hashlib.sha256(content or self.content).digest()).decode()
        return self.append(len(self.content), len(self.content), "?1", **{"Repr-Digest": f"sha-256=:{digest}:"})


@pytest.fixture
def upload(client):
    return Upload(client)


def left(volume):
    return sorted(entry.name for entry in volume.datasets.iterdir() if entry.name.startswith("."))


def test_a_file_in_parts_becomes_the_dataset_that_it_is_in_one_piece(upload, volume):
    upload.query = "?name=big.csv&missing_values=none&column_kinds=size:text"
    begun = upload.begin()
    assert (begun.status_code, begun.headers["Location"], begun.json["offset"]) == (201, upload.path, 0)
    part = upload.append(0, 5000)
    assert (part.status_code, part.headers["Upload-Offset"], part.headers["Upload-Complete"]) == (204, "5000", "?0")
    again = upload.begin()
    assert (again.status_code, again.json["offset"], again.json["length"]) == (200, 5000, len(TABLE))
    assert upload.append(5000, len(TABLE)).status_code == 204
    asked = upload.client.head(upload.path)
    assert (asked.status_code, asked.headers["Upload-Offset"]) == (200, str(len(TABLE)))
    done = upload.complete()
    assert (done.status_code, done.headers["Location"]) == (201, "/datasets/big")
    whole = upload.client.put(f"/datasets/whole{upload.query}", data=TABLE).json
    same = ("sha256", "data_sha256", "bytes", "rows", "columns", "source_name", "missing_values", "column_kinds")
    assert {name: done.json[name] for name in same} == {name: whole[name] for name in same}
    assert left(volume) == []
    assert upload.client.get(upload.path).status_code == 404


def test_the_last_part_may_complete_and_the_same_upload_again_changes_nothing(upload):
    digest = {"Repr-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(TABLE).digest()).decode()}:"}
    for status in (201, 200):
        upload.begin()
        assert upload.append(0, len(TABLE), "?1", **digest).status_code == status
    other = Upload(upload.client, TABLE + b"red,1,1\n")
    assert other.begin().status_code == 409, "the dataset has another length: known before a byte is sent"


def test_only_the_next_byte_is_taken(upload):
    upload.begin()
    upload.append(0, 4000)
    for start in (0, 3999, 4001):
        answer = upload.append(start, start + 10)
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (409, "4000")
        assert "4000" in answer.json["detail"]
    early = upload.complete()
    assert early.status_code == 409
    upload.content += b"x"
    assert upload.append(4000, len(upload.content)).status_code == 413, "more than was announced"


def test_another_file_under_the_same_upload_is_refused_when_it_is_complete(upload, volume):
    upload.begin()
    upload.append(0, 4000)
    mixed = Upload(upload.client, TABLE[::-1])
    mixed.append(4000, len(TABLE))
    refused = mixed.complete()
    assert (refused.status_code, refused.json["errors"][0]["code"]) == (422, "digest_mismatch")
    assert left(volume) == []
    assert upload.client.get("/datasets/big").status_code == 404


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"\x89HDF" + bytes(5000), 415), (b"\x89PNG" + bytes(300), 415), (b"a,b\n" + b"1,2\n" * 60_000, 413)],
)
def test_what_cannot_be_a_dataset_ends_the_upload_with_its_first_bytes_or_when_it_is_complete(
    client, volume, content, status
):
    upload = Upload(client, content)
    upload.begin()
    answers = [upload.append(0, min(5000, len(content))), upload.complete()]
    assert status in {answer.status_code for answer in answers}
    assert left(volume) == []


def test_a_table_that_is_refused_leaves_nothing(client, volume):
    upload = Upload(client, b"a,b\n1,2,3\n")
    upload.begin()
    upload.append(0, 100)
    refused = upload.complete()
    assert (refused.status_code, refused.json["code"]) == (422, "refused")
    assert left(volume) == []


def test_lengths_ids_and_headers_are_judged_before_a_byte_is_sent(client, app, volume):
    upload = Upload(client)
    assert upload.begin(**{"Upload-Length": str(10**15)}).status_code in {400, 413}
    for length in ("", "-1", "1e3", "٣"):
        assert upload.begin(**{"Upload-Length": length}).status_code == 400
    assert Upload(client, dataset="NO").begin().status_code == 422
    assert left(volume) == []
    upload.begin()
    for headers in ({"Upload-Offset": "x"}, {"Upload-Complete": "1"}, {"Upload-Complete": "?1"}):
        assert upload.append(0, 10, **headers).status_code == 400, headers
    assert upload.append(0, 10, **{"Content-Type": "text/csv"}).status_code == 415
    assert upload.client.get(upload.path).json["offset"] == 0


def test_one_request_at_a_time_holds_an_upload(upload, volume):
    upload.begin()
    (held,) = all_uploads(volume.datasets)
    with held.open():
        for answer in (upload.append(0, 10), upload.client.delete(upload.path)):
            assert (answer.status_code, answer.json["code"]) == (409, "upload_in_use")
            assert "Retry-After" in answer.headers
    assert upload.append(0, 10).status_code == 204
    assert upload.client.delete(upload.path).status_code == 204
    assert left(volume) == []


def test_other_options_under_the_same_id_are_a_conflict(upload):
    upload.begin()
    upload.query = "?missing_values=none"
    assert upload.begin().status_code == 409


def test_a_restart_keeps_uploads_and_removes_those_without_a_new_byte_for_a_day(upload, volume):
    upload.begin()
    upload.append(0, 4000)
    remove_leftovers(volume.datasets)
    remove_expired(volume.datasets)
    (kept,) = all_uploads(volume.datasets)
    assert kept.offset == 4000
    old = kept.data.stat().st_mtime - KEPT_SECONDS - 60
    os.utime(kept.data, (old, old))
    with kept.open():
        remove_expired(volume.datasets)
    assert all_uploads(volume.datasets), "somebody holds it"
    remove_expired(volume.datasets)
    assert left(volume) == []


def test_an_upload_counts_with_its_whole_length_in_the_projects_quota(settings, app, volume):
    service = Service.of(app)
    _, key = service.keys.create("red", "write", None, "red")
    quotas = {"red": {"bytes": len(TABLE) + 100}}
    service.settings = type(settings).model_validate({**dict(settings), "project_quotas": quotas})
    red = authorized(app, key)
    assert Upload(red).begin().status_code == 201
    refused = Upload(red, dataset="other").begin()
    assert (refused.status_code, refused.json["code"]) == (403, "project_quota")
    assert Upload(red).begin().status_code == 200, "the same again"
    assert red.delete(Upload(red).path).status_code == 204
    assert Upload(red, dataset="other").begin().status_code == 201


def test_two_projects_send_uploads_of_the_same_name_and_see_their_own(app):
    red, blue = (authorized(app, Service.of(app).keys.create(name, "write", None, name)[1]) for name in ("red", "blue"))
    assert Upload(red).begin().status_code == 201
    assert Upload(red).append(0, 4000).status_code == 204
    assert Upload(blue).client.get(Upload(blue).path).status_code == 404
    assert (Upload(blue).begin().status_code, Upload(blue).begin().json["offset"]) == (201, 0)
    assert Upload(red).begin().json["offset"] == 4000


def test_an_upload_that_ends_while_it_is_opened_is_gone(upload, volume, monkeypatch):
    upload.begin()
    (begun,) = all_uploads(volume.datasets)
    monkeypatch.setattr("api.state.partial_uploads.fcntl.flock", lambda *_: begun.remove())
    with pytest.raises(NotFound), begun.open():
        pass


def test_a_project_has_a_maximum_of_unfinished_uploads_and_is_told_which_one_to_delete(client, monkeypatch):
    monkeypatch.setattr("api.datasets.resumable._MOST_OF_A_PROJECT", 2)
    for name in ("a", "b"):
        assert Upload(client, dataset=name).begin().status_code == 201
    refused = Upload(client, dataset="c").begin()
    assert (refused.status_code, refused.json["code"]) == (429, "too_many_unfinished_uploads")
    assert "/datasets/" in refused.json["detail"]


def test_a_link_in_the_place_of_the_data_is_never_followed(upload, volume, tmp_path):
    upload.begin()
    (begun,) = all_uploads(volume.datasets)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    begun.data.unlink()
    begun.data.symlink_to(secret)
    for answer in (upload.append(6, 100), upload.append(0, 100), upload.client.delete(upload.path)):
        assert answer.status_code >= 400
    old = begun.data.lstat().st_mtime - KEPT_SECONDS - 60
    os.utime(begun.data, (old, old), follow_symlinks=False)
    remove_expired(volume.datasets)
    assert secret.read_bytes() == b"secret"
