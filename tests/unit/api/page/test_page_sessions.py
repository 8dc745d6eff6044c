"""Sessions: what a cookie allows, when it expires, and from which origins it may write."""

import json
import re
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie

import pytest

from api import create_app
from api.page.sign_in import MOST_FAILURES
from api.state.service import Service
from api.state.sessions import MOST_OF_ONE_KEY
from shared.settings import Settings
from shared.times import format_time, utc_now
from tests.support.jobs import small_spec
from tests.support.keys import ADMIN_KEY, AUTHORIZATION
from tests.support.waiting import wait_for

OWN = {"Origin": "http://localhost"}
NAME = "fitstop_session"


@pytest.fixture
def keys(app):
    return Service.of(app).keys


@pytest.fixture
def sessions(app):
    return Service.of(app).sessions


def sign_in(client, key=ADMIN_KEY, **headers):
    return client.post("/page/sign-in", json={"key": key}, headers={**OWN, **headers})


def signed_in(app, key=ADMIN_KEY):
    """Return a browser that is logged in."""
    client = app.test_client()
    assert sign_in(client, key).status_code == 200
    return client


def cookie_of(answer):
    [morsel] = SimpleCookie(answer.headers["Set-Cookie"]).values()
    return morsel


def files(volume):
    return list((volume.root.parent / "api" / "sessions").iterdir())


def test_signing_in_gives_a_cookie_that_no_script_reads_and_no_other_site_sends(app, volume):
    answer = sign_in(app.test_client())
    cookie = cookie_of(answer)
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "Strict", "/", "")
    assert int(cookie["max-age"]) == 7 * 86_400
    assert answer.json["key"] == {"id": "key_environment", "name": "FITSTOP_ADMIN_KEY", "scope": "admin"}
    # Only the browser has the key and the secret.
    [kept] = files(volume)
    for secret in (ADMIN_KEY, cookie.value):
        assert secret not in kept.name + kept.read_text() + answer.text
    assert ADMIN_KEY not in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("how", [{"base_url": "https://localhost"}, {"headers": {"Origin": "https://localhost"}}])
def test_behind_tls_here_or_at_a_proxy_the_cookie_is_secure(app, how):
    given = {"headers": {"Origin": "https://localhost"}, **how}
    answer = app.test_client().post("/page/sign-in", json={"key": ADMIN_KEY}, **given)
    assert cookie_of(answer)["secure"]
    assert cookie_of(answer).key == f"__Host-{NAME}"


def test_under_https_only_the_cookie_of_this_host_alone_counts(app):
    browser = app.test_client()
    secret = cookie_of(sign_in(browser)).value
    for name, scheme, status in ((NAME, "http", 200), (NAME, "https", 401), (f"__Host-{NAME}", "https", 200)):
        headers = {"Cookie": f"{name}={secret}"}
        answer = app.test_client(use_cookies=False).get("/jobs", base_url=f"{scheme}://localhost", headers=headers)
        assert answer.status_code == status
        assert ("Strict-Transport-Security" in answer.headers) == (scheme == "https")


def test_signing_out_everywhere_ends_all_sessions_and_codes_of_the_key_and_no_others(app, keys, sessions):
    _, other_key = keys.create("other", "read")
    one, two, other = signed_in(app), signed_in(app), signed_in(app, other_key)
    code = one.application.test_client().post("/page/codes", headers=AUTHORIZATION).json["code"]
    assert one.post("/page/sign-out?everywhere=true", headers=OWN).status_code == 204
    assert [client.get("/jobs").status_code for client in (one, two, other)] == [401, 401, 200]
    assert sessions.take_code(code) is None


def test_two_services_of_one_machine_keep_cookies_of_their_own(app):
    answer = app.test_client().post(
        "/page/sign-in",
        json={"key": ADMIN_KEY},
        base_url="http://localhost:8001",
        headers={"Origin": "http://localhost:8001"},
    )
    assert cookie_of(answer).key == f"{NAME}_8001"


def test_a_session_is_worth_what_its_key_is(app, keys):
    reader = signed_in(app, keys.create("reader", "read")[1])
    assert reader.get("/jobs").status_code == 200
    refused = reader.post("/jobs", json=small_spec(), headers=OWN)
    assert (refused.status_code, refused.json["code"]) == (403, "scope")
    assert reader.get("/keys").status_code == 403


def test_the_header_outweighs_the_cookie(app, keys):
    browser = signed_in(app)
    _, key = keys.create("reader", "read")
    assert browser.get("/keys", headers={"Authorization": f"Bearer {key}"}).status_code == 403
    assert browser.get("/keys", headers={"Authorization": "Bearer nonsense"}).status_code == 401
    assert browser.get("/keys").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://localhost:8001"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    ],
)
def test_a_write_by_cookie_from_elsewhere_is_403_and_does_nothing(app, volume, job, headers):
    browser = signed_in(app)
    for ask in (
        lambda: browser.post(f"/jobs/{job.id}/cancel", headers=headers),
        lambda: browser.put("/datasets/x", data="a,b\n1,2\n", headers=headers),
        lambda: browser.delete("/datasets/grades", headers=headers),
        lambda: browser.post(f"/jobs/{job.id}/replay", json={"patience": 1}, headers=headers),
        lambda: browser.post("/page/sign-out", headers=headers),
        lambda: browser.post("/page/sign-in", json={"key": ADMIN_KEY}, headers=headers),
    ):
        answer = ask()
        assert (answer.status_code, answer.json["code"]) == (403, "foreign_origin")
    assert not job.cancel_file.exists()
    assert browser.get("/jobs").status_code == 200
    # A browser does not send a key in the header by itself.
    assert browser.post(f"/jobs/{job.id}/cancel", headers={**headers, **AUTHORIZATION}).status_code == 200


@pytest.mark.parametrize("headers", [OWN, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "https://localhost"}])
def test_a_write_by_cookie_from_our_own_page_is_done(app, job, headers):
    assert signed_in(app).post(f"/jobs/{job.id}/cancel", headers=headers).json["status"] == "cancelled"


def test_signing_out_ends_the_session_everywhere(app, settings, volume):
    browser = signed_in(app)
    secret = browser.get_cookie(NAME).value
    answer = browser.post("/page/sign-out", headers=OWN)
    assert answer.status_code == 204
    assert int(cookie_of(answer)["max-age"]) == 0
    assert files(volume) == []
    for host in (app, create_app(settings)):
        thief = host.test_client()
        thief.set_cookie(NAME, secret)
        refused = thief.get("/jobs")
        assert (refused.status_code, refused.json["code"]) == (401, "session_over")
    assert app.test_client().post("/page/sign-out", headers=OWN).status_code == 204


def test_with_its_key_a_session_ends_on_every_host(app, settings, keys, volume):
    known, key = keys.create("one", "write")
    browser, other = signed_in(app, key), create_app(settings).test_client()
    other.set_cookie(NAME, browser.get_cookie(NAME).value)
    assert other.get("/jobs").status_code == 200
    keys.revoke(known.id)
    for client in (browser, other):
        assert client.get("/jobs").json["code"] == "session_over"
        assert client.get("/").status_code == 303
    assert files(volume) == []


def test_another_key_in_the_environment_ends_the_sessions_of_the_one_before(app, settings):
    browser = signed_in(app)
    later = create_app(
        Settings(**{**settings.model_dump(), "admin_key": "another-key-of-the-tests-that-is-long-enough"})
    )
    client = later.test_client()
    client.set_cookie(NAME, browser.get_cookie(NAME).value)
    assert client.get("/jobs").json["code"] == "session_over"


def test_a_session_that_is_over_by_its_time_opens_nothing_and_is_removed(app, volume):
    browser = signed_in(app)
    [path] = files(volume)
    record = json.loads(path.read_text())
    assert timedelta(days=6.9) < datetime.fromisoformat(record["expires_at"]) - datetime.now(UTC) <= timedelta(days=7)
    path.write_text(json.dumps({**record, "expires_at": format_time(datetime.now(UTC) - timedelta(seconds=1))}))
    assert browser.get("/jobs").json["code"] == "session_over"
    assert files(volume) == []


@pytest.mark.parametrize("secret", ["", "x", "../../keys/x", "a" * 43, "a" * 4000, "schl\u00fcssel"])
def test_what_is_no_session_opens_nothing(app, secret):
    client = app.test_client()
    client.set_cookie(NAME, secret)
    assert client.get("/jobs").status_code == 401
    assert client.get("/").status_code == 303


def test_a_damaged_session_opens_nothing(app, volume):
    browser = signed_in(app)
    [path] = files(volume)
    path.write_text('{"version": 1')
    assert browser.get("/jobs").json["code"] == "session_over"
    assert sign_in(app.test_client()).status_code == 200


def test_the_sessions_of_one_key_do_not_become_ever_more(app, sessions, keys, volume):
    known, _ = keys.create("one", "read")
    first, made = sessions.begin(known), utc_now()
    wait_for(lambda: utc_now() > made, every=0.001, saying="the next millisecond")
    last = [sessions.begin(known) for _ in range(MOST_OF_ONE_KEY)][-1]
    assert len(files(volume)) == MOST_OF_ONE_KEY
    assert (sessions.find(first), sessions.find(last)) == (None, known)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"key": "nonsense"}, 401, "unknown_key"),
        ({"key": "schl\u00fcssel"}, 401, "unknown_key"),
        ({"code": "a" * 43}, 401, "unknown_code"),
        ({}, 422, "invalid"),
        ({"key": "a", "code": "b"}, 422, "invalid"),
        ({"key": 5}, 422, "invalid"),
    ],
)
def test_a_wrong_key_or_a_wrong_body_gives_no_cookie(app, volume, body, status, code):
    answer = app.test_client().post("/page/sign-in", json=body, headers=OWN)
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (status, False)
    assert status == 422 or answer.json["code"] == code
    assert files(volume) == []


def test_a_revoked_key_does_not_sign_in(app, keys):
    known, key = keys.create("one", "write")
    keys.revoke(known.id)
    assert sign_in(app.test_client(), key).json["code"] == "revoked_key"


def test_wrong_keys_are_taken_only_so_often_from_one_address(app):
    client = app.test_client()
    statuses = [sign_in(client, "nonsense").status_code for _ in range(MOST_FAILURES + 1)]
    assert statuses == [401] * MOST_FAILURES + [429]
    refused = sign_in(client, "nonsense")
    assert (refused.status_code, refused.json["code"]) == (429, "too_many_failures")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert sign_in(client).status_code == 200
    elsewhere = client.post(
        "/page/sign-in", json={"key": "nonsense"}, headers=OWN, environ_base={"REMOTE_ADDR": "10.0.0.7"}
    )
    assert elsewhere.status_code == 401


def test_a_code_signs_one_browser_in_once(app, client, volume):
    made = client.post("/page/codes")
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    code = made.json["code"]
    assert code not in "".join(path.name + path.read_text() for path in files(volume))
    thief = app.test_client()
    thief.set_cookie(NAME, code)
    assert thief.get("/jobs").status_code == 401
    first, second = (app.test_client().post("/page/sign-in", json={"code": code}, headers=OWN) for _ in range(2))
    assert (first.status_code, first.json["key"]["scope"]) == (200, "admin")
    assert (second.status_code, second.json["code"]) == (401, "unknown_code")


def test_a_session_gets_no_code_which_would_outlive_it(app):
    answer = signed_in(app).post("/page/codes", headers=OWN)
    assert (answer.status_code, answer.json["code"]) == (403, "needs_key")


def test_a_code_of_a_key_that_has_gone_opens_nothing(app, keys):
    known, key = keys.create("one", "write")
    answer = app.test_client().post("/page/codes", headers={"Authorization": f"Bearer {key}"})
    code = answer.json["code"]
    keys.revoke(known.id)
    assert app.test_client().post("/page/sign-in", json={"code": code}, headers=OWN).status_code == 401


def test_whoever_signs_in_comes_back_with_the_whole_address(app):
    answer = app.test_client().get("/?status=running&name=a%26b")
    assert answer.headers["Location"] == "/page/sign-in?next=%2F%3Fstatus%3Drunning%26name%3Da%2526b"


def test_no_secret_is_logged(app, caplog):
    caplog.set_level("DEBUG")
    browser = signed_in(app)
    secret = browser.get_cookie(NAME).value
    browser.get("/jobs")
    sign_in(browser, "a-wrong-key-of-some-length")
    assert not re.search(f"{re.escape(secret)}|{ADMIN_KEY}|a-wrong-key", caplog.text)
