"""Authorization: the header, the scopes of all routes, and creating, listing and revoking keys."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from api import create_app
from api.auth import access
from api.auth.make_key import main as make_key
from api.state.key_store import KeyStore
from api.state.service import Service
from shared.api_key import PATTERN, hash_key, is_api_key, new_api_key
from shared.times import format_time
from tests.support.keys import ADMIN_KEY, authorized

SECRETS = {"sha256", "key"}


@pytest.fixture
def anonymous(app):
    return app.test_client()


@pytest.fixture
def keys(app):
    return Service.of(app).keys


def rules(app):
    """Yield the method, path and scope of each route; `x` replaces each variable part of a path."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "x", rule.rule)
        for method in rule.methods:
            yield method, path, access.scope_of(app, rule.endpoint)


# Logging in and out needs no session. The page's files are in the package; the page of a shared link holds no job.
PUBLIC = {"/healthz", "/page/sign-in", "/page/sign-out", "/page/static/x", "/page/static/vendor/x", "/page/shared/x"}
READS_WITH_A_BODY = {"/jobs/x/replay", "/sweeps/x/replay"}


def test_without_a_key_every_route_but_the_sign_of_life_is_401_and_every_page_leads_to_signing_in(app, anonymous):
    seen = list(rules(app))
    assert {path for _, path, scope in seen if scope == "public"} == PUBLIC
    pages = "compare datasets jobs/x keys new sweeps sweeps/new sweeps/x usage webhooks workers".split()  # noqa: SIM905
    assert {path for _, path, scope in seen if scope == "page"} == {"/", *(f"/page/{name}" for name in pages)}
    assert len(seen) > 30
    for method, path, scope in seen:
        answer = anonymous.open(path, method=method)
        if scope == "page":
            assert answer.status_code == 303, (method, path)
            assert answer.headers["Location"].startswith("/page/sign-in?next=")
        elif path.startswith(("/page/static/", "/page/shared/")):
            assert answer.status_code == 404
        elif path in PUBLIC and method == "POST":
            assert (answer.status_code, answer.json["code"]) == (403, "foreign_origin")
        elif scope != "public":
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="fitstop"'
            assert answer.mimetype == "application/problem+json"
        else:
            assert answer.status_code == 200


def test_with_a_key_for_reading_every_write_is_403_and_every_look_is_answered(app, keys):
    _, key = keys.create("reader", "read")
    reader = authorized(app, key)
    writes = 0
    for method, path, scope in rules(app):
        answer = reader.open(path, method=method)
        is_refused = "insufficient_scope" in answer.headers.get("WWW-Authenticate", "")
        assert is_refused == (scope in {"write", "code", "admin"}), (method, path, answer.status_code)
        if is_refused:
            assert f'scope="{scope}"' in answer.headers["WWW-Authenticate"]
        # A session has no more rights than its key.
        is_write = method in {"PUT", "POST", "PATCH", "DELETE"} and path not in READS_WITH_A_BODY
        if is_write and "/page/" not in path:
            writes += 1
            assert is_refused, (method, path)
    assert writes >= 4


@pytest.mark.parametrize(
    ("own", "needed", "status"), [("write", "code", 403), ("code", "code", 404), ("code", "admin", 403)]
)
def test_code_is_between_write_and_admin(app, keys, own, needed, status):
    app.add_url_rule("/needs", "needs", lambda: ("", 404))
    access.protect(app, "needs", needed)
    answer = authorized(app, keys.create(own, own)[1]).get("/needs")
    assert answer.status_code == status
    assert ('scope="code"' in answer.headers.get("WWW-Authenticate", "")) == ((own, needed) == ("write", "code"))


def test_a_key_for_writing_makes_no_keys(app, keys):
    writer = authorized(app, keys.create("writer", "write")[1])
    assert writer.get("/keys").status_code == 403
    assert writer.post("/keys", json={"name": "x", "scope": "admin"}).status_code == 403
    assert writer.post("/jobs/x/cancel").status_code == 404


def test_a_route_of_which_nobody_said_who_may_is_an_error(app, caplog):
    app.add_url_rule("/forgotten", "forgotten", lambda: "open")
    assert authorized(app).get("/forgotten").status_code == 500
    with pytest.raises(ValueError, match="not a scope"):
        access.protect(app, "forgotten", "")
    with pytest.raises(KeyError):
        list(rules(app))


@pytest.mark.parametrize(
    "header",
    [
        *("", "Bearer", "Bearer ", f"Basic {ADMIN_KEY}", ADMIN_KEY, f"Bearer {ADMIN_KEY}x", f"Bearer {ADMIN_KEY} x"),
        *(f"Bearer {'x' * 10_000}", "Bearer schl\xfcssel" + "x" * 30, "Bearer fs_", "Bearer ../../etc/passwd"),
        pytest.param(f"Bearer {new_api_key()}", id="one that nobody has made"),
    ],
)
def test_what_is_no_key_is_401_and_is_never_logged(anonymous, caplog, header):
    caplog.set_level("DEBUG")
    answer = anonymous.get("/jobs", headers={"Authorization": header})
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    secret = header.partition(" ")[2].strip()
    assert len(secret) < 8 or (secret not in caplog.text and secret not in answer.text)


def test_the_name_of_a_key_without_its_secret_opens_nothing(app, keys):
    _, key = keys.create("one", "admin")
    _, other = keys.create("two", "admin")
    for forged in (
        key[:15] + other[15:],
        key[:-1] + ("a" if key[-1] != "a" else "b"),
        key[:16] + "a" * 40,
        key.upper(),
    ):
        answer = authorized(app, forged).get("/jobs")
        assert (answer.status_code, answer.json["code"]) == (401, "unknown_key")
    assert authorized(app, key).get("/jobs").status_code == 200


@pytest.mark.parametrize("name", ["key", "api_key", "access_token", "token", "Authorization"])
def test_a_key_in_the_query_is_no_key_and_is_not_logged(anonymous, caplog, name):
    caplog.set_level("DEBUG")
    assert anonymous.get("/jobs", query_string={name: ADMIN_KEY}).status_code == 401
    assert ADMIN_KEY not in caplog.text


def test_the_scheme_is_read_as_http_says(anonymous):
    assert anonymous.get("/jobs", headers={"Authorization": f"bearer  {ADMIN_KEY}"}).status_code == 200


def test_whoever_has_no_key_does_not_learn_what_there_is(anonymous):
    assert anonymous.get("/nothing").status_code == 401
    assert anonymous.patch("/jobs").status_code == 401


def test_a_key_is_shown_once_and_kept_as_its_hash(app, client, volume):
    answer = client.post("/keys", json={"name": "ci", "scope": "read"})
    made = answer.json
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(PATTERN, made["key"])
    assert authorized(app, made["key"]).get("/jobs").status_code == 200
    [kept] = (volume.root.parent / "api" / "keys").iterdir()
    assert kept.name == f"{made['id']}.json"
    assert made["key"] not in kept.read_text()
    assert json.loads(kept.read_text())["sha256"] == hash_key(made["key"])
    listed = client.get("/keys").json["data"]
    assert [(one["id"], one["name"], one["scope"], one["status"]) for one in listed] == [
        ("key_environment", "FITSTOP_ADMIN_KEY", "admin", "active"),
        (made["id"], "ci", "read", "active"),
    ]
    assert all(not SECRETS & set(one) for one in listed)


def test_a_revoked_key_opens_nothing_on_any_host_and_revoking_again_changes_nothing(app, client, settings):
    made = client.post("/keys", json={"name": "ci"}).json
    assert (made["scope"], made["expires_at"]) == ("write", None)
    other_host = create_app(settings)
    assert authorized(other_host, made["key"]).get("/jobs").status_code == 200
    first = client.post(f"/keys/{made['id']}/revoke")
    assert (first.status_code, first.json["status"]) == (200, "revoked")
    assert client.post(f"/keys/{made['id']}/revoke").json == first.json
    for host in (app, other_host):
        answer = authorized(host, made["key"]).get("/jobs")
        assert (answer.status_code, answer.json["code"]) == (401, "revoked_key")
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_an_expired_key_opens_nothing(app, client, keys):
    made = client.post("/keys", json={"name": "ci", "expires_in_days": 30}).json
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)
    _, old = keys.create("old", "admin", format_time(datetime.now(UTC) - timedelta(seconds=1)))
    answer = authorized(app, old).get("/jobs")
    assert (answer.status_code, answer.json["code"]) == (401, "expired_key")


@pytest.mark.parametrize("key_id", ["x", "key_000000000000", "..%2fspec", "key_x.revoked", "x" * 5000])
def test_a_key_that_is_none_cannot_be_revoked(client, key_id):
    assert client.post(f"/keys/{key_id}/revoke").status_code == 404


def test_the_key_of_the_environment_is_taken_away_there(client):
    assert client.post("/keys/key_environment/revoke").status_code == 409


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/name"),
        ({"name": ""}, "#/name"),
        ({"name": "a\nb"}, "#/name"),
        ({"name": "a", "scope": "root"}, "#/scope"),
        ({"name": "a", "scope": None}, "#/scope"),
        *[({"name": "a", "expires_in_days": days}, "#/expires_in_days") for days in (0, -1, 1.5, "1", True, 10**9)],
        ({"name": "a", "sha256": "0" * 64}, "#/sha256"),
    ],
)
def test_a_key_that_cannot_be_made_is_422(client, volume, body, pointer):
    answer = client.post("/keys", json=body)
    assert answer.status_code == 422
    assert [problem["pointer"] for problem in answer.json["errors"]] == [pointer]
    assert list((volume.root.parent / "api" / "keys").iterdir()) == []


def test_a_damaged_key_opens_nothing_and_hides_no_other(app, client, keys, volume):
    whole, _ = keys.create("whole", "read")
    broken, key = keys.create("broken", "admin")
    (volume.root.parent / "api" / "keys" / f"{broken.id}.json").write_bytes(b'{"version": 1')
    assert authorized(app, key).get("/jobs").status_code == 401
    assert whole.id in {one["id"] for one in client.get("/keys").json["data"]}
    assert broken.id not in {one["id"] for one in client.get("/keys").json["data"]}


def test_a_key_can_be_made_where_the_volume_is(app, settings, monkeypatch, capsys):
    monkeypatch.setenv("FITSTOP_VOLUME", str(settings.volume))
    assert make_key(["first", "--days", "3"]) == 0
    key = capsys.readouterr().out.strip()
    assert is_api_key(key)
    assert authorized(app, key).get("/keys").status_code == 200
    for wrong in (["a\nb"], ["x", "--days", "0"], ["x", "--scope", "root"]):
        with pytest.raises(SystemExit) as ended:
            make_key(wrong)
        assert ended.value.code == 2
    assert len(KeyStore(settings.state_folder).all()) == 1


def test_keys_are_never_the_same():
    made = {new_api_key() for _ in range(1000)}
    assert len(made) == 1000
    assert all(is_api_key(key) for key in made)
