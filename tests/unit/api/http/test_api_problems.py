"""Errors, request ids, headers and the log."""

import errno
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth.access import protect
from api.http.logs import JsonLine
from api.state.service import Service
from shared.api_key import new_api_key
from tests.support.keys import authorized


def raising(app, error):
    """Return a client of an app with one view that raises `error`."""

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


@pytest.mark.parametrize("path", ["/nothing", "/jobs/", "/jobs//x", "/static/x", "/jobs/<script>"])
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


def test_no_browser_of_another_origin_may_read_or_run_an_answer(client):
    for path in ("/healthz", "/jobs", "/nothing"):
        answer = client.get(path, headers={"Origin": "https://evil.example", "Cookie": "a=b"})
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
        assert "Set-Cookie" not in answer.headers
    preflight = client.options(
        "/jobs", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 405
    assert set(preflight.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


def lines(caplog):
    return [JsonLine().format(record) for record in caplog.records]


def test_each_request_is_one_line_of_the_log(client, caplog):
    caplog.set_level(logging.INFO)
    client.get("/jobs/%0d%0aFAKE%20line%1b[2J?secret=1", headers={"X-Request-Id": "mine", "Cookie": "secret"})
    [line] = [line for line in lines(caplog) if "FAKE" in line]
    assert (len(line.splitlines()), line.isascii(), line.isprintable()) == (1, True, True)
    told = json.loads(line)
    assert (told["level"], told["logger"], told["request_id"]) == ("info", "api.http.every_request", "mine")
    assert (told["method"], told["path"], told["status"]) == ("GET", "/jobs/\r\nFAKE line\x1b[2J", 422)
    assert (told["key_id"], told["client"]) == ("key_environment", "127.0.0.1")
    assert 0 <= told["seconds"] < 60
    assert "secret" not in line


def test_a_key_that_got_into_an_address_is_not_in_the_log(client, caplog):
    caplog.set_level(logging.INFO)
    key = new_api_key()
    client.get(f"/jobs/{key}")
    client.put(f"/datasets/{key}", data=b"a")
    assert key[-40:] not in "".join(lines(caplog))
    assert f"{key[:15]}_***" in "".join(lines(caplog))


def test_a_long_path_is_a_short_line_and_shows_no_part_of_a_key(client, caplog):
    caplog.set_level(logging.INFO)
    key = new_api_key()
    client.get("/" + "%ff" * 2600)
    client.get("/" + "x" * 150 + key + "y" * 5000)
    told = lines(caplog)
    assert max(map(len, told)) < 4000
    assert key[20:30] not in "".join(told)


def test_a_secret_that_has_no_form_is_masked():
    record = logging.LogRecord("x", logging.ERROR, "", 0, 'sent 0123abcd"ef here', (), None)
    assert "0123" not in JsonLine(['0123abcd"ef']).format(record)
    assert "0123" in JsonLine().format(record)


@given(st.text(), st.text(alphabet=st.characters(max_codepoint=0x2100)))
def test_a_line_of_the_log_has_no_character_that_acts_and_can_be_read_again(one, other):
    record = logging.LogRecord("x", logging.INFO, "", 0, one.replace("%", "%%"), (), None)
    record.facts = {"path": other}
    line = JsonLine().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["path"] == other


def test_a_traceback_is_one_line_too():
    try:
        raise RuntimeError("a\nb")
    except RuntimeError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "it failed", (), sys.exc_info())
    line = JsonLine().format(record)
    assert len(line.splitlines()) == 1
    assert json.loads(line)["traceback"].endswith("RuntimeError: a\nb")


def test_the_api_is_alive_and_says_what_it_is(client):
    assert client.get("/healthz").json["status"] == "ok"


def test_readiness_names_each_check(client):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert {name: check["ok"] for name, check in answer.json["checks"].items()} == {
        "volume": True,
        "redis": False,
        "workers": False,
        "webhooks": True,
    }


def test_a_readiness_check_leaves_nothing_on_the_volume(client, volume):
    before = sorted(entry.name for entry in volume.root.iterdir())
    client.get("/readyz")
    assert sorted(entry.name for entry in volume.root.iterdir()) == before


def test_a_volume_that_cannot_be_written_is_not_ready(app, client, volume, monkeypatch):
    monkeypatch.setattr(Service.of(app).volume, "root", volume.root / "gone")
    assert client.get("/readyz").json["checks"]["volume"]["ok"] is False
