"""An upload keeps the volume's reserve free; a refusal names the numbers."""

import shutil

import pytest

from api import create_app
from shared.settings import Settings
from tests.support.keys import ADMIN_KEY, authorized
from tests.support.weights import HDF5

pytestmark = pytest.mark.both_stores

CSV = b"a,b\n" + b"1,2\n3,4\n" * 20


@pytest.mark.parametrize(("path", "content"), [("/datasets/x", CSV), ("/models/x", HDF5)])
def test_an_upload_that_would_use_the_reserve_is_refused_with_the_numbers(tmp_path, path, content):
    settings = Settings(
        volume=tmp_path / "volume", redis_url="redis://127.0.0.1:1/0", admin_key=ADMIN_KEY, volume_reserve_bytes=2**60
    )
    client = authorized(create_app(settings))
    answer = client.put(path, data=content)
    assert (answer.status_code, answer.json["code"]) == (507, "volume_full")
    assert f"{2**60} stay free" in answer.json["detail"]
    assert list((tmp_path / "volume" / "datasets").iterdir()) == []


def test_an_upload_in_parts_is_refused_before_its_first_byte_by_its_announced_length(tmp_path):
    (tmp_path / "volume").mkdir()
    reserve = shutil.disk_usage(tmp_path).free - 512 * 1024**2
    settings = Settings(
        volume=tmp_path / "volume", redis_url="redis://127.0.0.1:1/0", admin_key=ADMIN_KEY, volume_reserve_bytes=reserve
    )
    answer = authorized(create_app(settings)).put("/datasets/x/uploads/one", headers={"Upload-Length": str(1024**3)})
    assert (answer.status_code, answer.json["code"]) == (507, "volume_full")


def test_an_upload_is_taken_while_there_is_room(client):
    assert client.put("/datasets/x", data=CSV).status_code == 201
