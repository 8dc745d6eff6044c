"""Errors, request ids, headers and the log."""

import errno
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access import protect
from api.gunicorn_worker import raw_problem, status_of
from api.logs import OneLine, escaped
from api.service import Service
from tests.support.keys import authorized


def raising(app, error):
    """A client of an app with one view that raises `error`."""

    def view():
        raise error

    app.add_url_rule("/raises", "raises", view)
    protect(app, "raises", "read")
    return authorized(app)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OSError(errno.ENOSPC, "No space left", "/secret/path"), 507, "volume_full"),
        (OSError(errno.EDQUOT, "Quota", "/secret/path"), 507, "volume_full"),
        (OSError(errno.EROFS, "Read-only", "/secret/path"), 503, "volume_unavailable"),
        (OSError(errno.EIO, "Input/output error", "/secret/path"), 503, "volume_unavailable"),
        (PermissionError(errno.EACCES, "Denied", "/secret/path"), 503, "volume_unavailable"),
        (RuntimeError("/secret/path"), 500, "internal_error"),
        (RecursionError("/secret/path"), 500, "internal_error"),
    ],
)
def test_an_error_of_ours_is_a_problem_without_path_or_traceback(app, caplog, error, status, code):
    answer = raising(app, error).get("/raises")
    assert (answer.status_code, answer.json["code"], answer.mimetype) == (status, code, "application/problem+json")
    assert b"secret" not in answer.data
    assert b"Traceback" not in answer.data
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert answer.json["request_id"] in caplog.text


def test_a_volume_that_became_unusable_is_503(client, volume):
    volume.jobs.rmdir()
    assert client.get("/jobs").status_code == 503


@pytest.mark.parametrize("path", ["/", "/nothing", "/jobs/", "//jobs//x", "/static/x", "/jobs/<script>"])
def test_a_path_that_nobody_serves_is_404_and_echoes_nothing(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert b"script" not in answer.data


def test_every_answer_has_an_id_and_the_headers_that_keep_it_what_it_is(client):
    for path in ("/healthz", "/nothing"):
        answer = client.get(path)
        assert answer.headers["X-Request-Id"].startswith("req_")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
    assert client.get("/nothing").json["request_id"] != client.get("/nothing").json["request_id"]


@pytest.mark.parametrize(("sent", "is_kept"), [("abc-1.2_3", True), ("a b", False), ("x" * 65, False), ("", False)])
def test_a_sane_request_id_of_the_client_is_kept(client, sent, is_kept):
    answer = client.get("/nothing", headers={"X-Request-Id": sent})
    assert (answer.headers["X-Request-Id"] == sent) == is_kept
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]


def test_each_request_is_one_line_of_the_log(client, caplog):
    caplog.set_level(logging.INFO)
    client.get("/jobs/%0d%0aFAKE%20line%1b[2J", headers={"X-Request-Id": "mine"})
    [record] = [record for record in caplog.records if record.name == "api.requests"]
    line = OneLine().format(record)
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    assert "GET /jobs/" in line
    assert " 404 " in line
    assert line.endswith(" mine")


@given(st.text())
def test_an_escaped_text_has_no_character_that_acts(text):
    shown = escaped(text)
    assert len(shown.splitlines()) <= 1
    assert all(
        character.isprintable() or character.isspace()
        for character in escaped(text.encode(errors="replace").decode())
        if ord(character) < 0x100
    )
    assert escaped(shown) == shown


def test_what_is_not_http_is_a_problem_too():
    from gunicorn.http.errors import InvalidRequestLine, LimitRequestHeaders, LimitRequestLine

    told = [status_of(error) for error in (InvalidRequestLine("x"), LimitRequestLine(1, 2), LimitRequestHeaders("x"))]
    assert [*told, status_of(RuntimeError())] == [400, 414, 431, 500]
    head, _, body = raw_problem(400, "req_x").partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert b"application/problem+json" in head


def test_the_api_is_alive_and_says_what_it_is(client):
    assert client.get("/healthz").json["status"] == "ok"


def test_readiness_names_each_check(client):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert {name: check["ok"] for name, check in answer.json["checks"].items()} == {
        "volume": True,
        "redis": False,
        "workers": False,
    }


def test_a_readiness_check_leaves_nothing_on_the_volume(client, volume):
    before = sorted(entry.name for entry in volume.root.iterdir())
    client.get("/readyz")
    assert sorted(entry.name for entry in volume.root.iterdir()) == before


def test_a_volume_that_cannot_be_written_is_not_ready(app, client, volume, monkeypatch):
    monkeypatch.setattr(Service.of(app).volume, "root", volume.root / "gone")
    assert client.get("/readyz").json["checks"]["volume"]["ok"] is False
