"""The commands of uploaded weights against a real server with canned answers."""

import json

import pytest

WEIGHTS = {
    "id": "resnet", "object": "model_weights", "project": "default", "created_at": "2026-11-23T10:00:00.000Z",
    "source_name": "resnet.h5", "source_format": "h5", "sha256": "a" * 64, "bytes": 94_765_736, "data_sha256": "a" * 64,
}  # fmt: skip


@pytest.mark.parametrize(("name", "sent"), [("resnet_notop.h5", {"name": "resnet_notop.h5"}), ("Gewichte ü.h5", {})])
def test_put_sends_the_bytes_and_the_name_of_the_file(fitstop, canned, tmp_path, name, sent):
    (tmp_path / name).write_bytes(b"\x89HDF" * 5)
    canned.on("PUT", "/models/resnet", WEIGHTS, 201)
    result = fitstop("models", "put", "resnet", name)
    assert (result.exit_code, result.stdout) == (0, "resnet\n")
    assert "--set model.weights=resnet" in result.stderr
    asked = canned.asked[-1]
    assert (asked.body, asked.query, asked.headers["Content-Type"]) == (
        b"\x89HDF" * 5, sent, "application/octet-stream",
    )  # fmt: skip
    assert json.loads(fitstop("models", "put", "resnet", name, "-o", "json").stdout) == WEIGHTS


def test_a_folder_or_nothing_is_a_usage_error(fitstop, canned, tmp_path):
    assert fitstop("models", "put", "a", ".").exit_code == 2
    assert fitstop("models", "put", "a", "nowhere.h5").exit_code == 2
    assert canned.asked == []


def test_list_shows_every_page(fitstop, canned):
    def page(asked):
        is_first = "after" not in asked.query
        one = WEIGHTS if is_first else {**WEIGHTS, "id": "xception", "source_name": None}
        return 200, {"object": "list", "data": [one], "has_more": is_first}

    canned.on("GET", "/models", page)
    shown = fitstop("models", "list").stdout.splitlines()
    assert shown[0].split() == ["ID", "FORMAT", "SIZE", "AGE", "FILE"]
    assert [line.split()[0] for line in shown[1:]] == ["resnet", "xception"]
    assert "94.8 MB" in shown[1]
    assert [one["id"] for one in json.loads(fitstop("models", "list", "-o", "json").stdout)["data"]] == [
        "resnet", "xception",
    ]  # fmt: skip
    canned.on("GET", "/models", {"object": "list", "data": [], "has_more": False})
    empty = fitstop("models", "list")
    assert (empty.stdout, "fitstop models put" in empty.stderr) == ("", True)


def test_show_and_rm(fitstop, canned):
    canned.on("GET", "/models/resnet", WEIGHTS)
    text = fitstop("models", "show", "resnet").stdout
    assert all(word in text for word in ("94.8 MB", "a" * 64, "resnet.h5"))
    assert json.loads(fitstop("models", "show", "resnet", "-o", "json").stdout) == WEIGHTS
    canned.on("GET", "/jobs", {"object": "list", "data": [], "has_more": False})
    canned.on("DELETE", "/models/resnet", {}, 204)
    assert "resnet: deleted" in fitstop("models", "rm", "resnet").stderr
    assert fitstop("models", "show", "none").exit_code == 3
