"""Every route with keys of two projects, of every scope, and without a key: no request reaches what it may not.

A route without an entry in ROUTES fails the test.
"""

import json
import re
from types import SimpleNamespace

import pytest

from api.auth.access import scope_of
from api.document.openapi import routes
from api.state.index import IndexNotReady
from api.state.service import Service
from api.state.webhook_store import new_webhook_id
from shared.ids import new_job_id, new_sweep_id
from tests.support.jobs import learnable_frame, put_dataset
from tests.support.keys import authorized
from tests.support.programs import put_program
from tests.support.two_projects import MOMENTS, PROJECTS, files_of, ids_of, put_things, secrets_of, steady, two_projects
from tests.support.weights import put_weights

REACH = {"public": 0, "page": 1, "shared": 1, "read": 1, "write": 2, "code": 3, "admin": 4}

# ONE: the path names one job or dataset. LIST: the answer lists only things of the caller's project. SAME: the answer
# holds nothing of a project, or only things of the caller's. PUT: an upload. POST: a job on a dataset. ALL: for admins.
ONE, LIST, SAME, PUT, POST, ALL = "one", "list", "same", "put", "post", "all"
ROUTES = {
    ("GET", "/datasets"): LIST,
    ("PUT", "/datasets/<dataset_id>"): PUT,
    ("GET", "/datasets/<dataset_id>"): ONE,
    ("GET", "/datasets/<dataset_id>/images"): ONE,
    ("DELETE", "/datasets/<dataset_id>"): ONE,
    ("PUT", "/datasets/<dataset_id>/uploads/<upload_id>"): PUT,
    ("GET", "/datasets/<dataset_id>/uploads/<upload_id>"): ONE,
    ("PATCH", "/datasets/<dataset_id>/uploads/<upload_id>"): ONE,
    ("DELETE", "/datasets/<dataset_id>/uploads/<upload_id>"): ONE,
    ("GET", "/models"): LIST,
    ("PUT", "/models/<weights_id>"): PUT,
    ("GET", "/models/<weights_id>"): ONE,
    ("DELETE", "/models/<weights_id>"): ONE,
    ("GET", "/programs"): LIST,
    ("PUT", "/programs/<program_id>"): PUT,
    ("GET", "/programs/<program_id>"): ONE,
    ("DELETE", "/programs/<program_id>"): ONE,
    ("POST", "/jobs"): POST,
    ("GET", "/jobs"): LIST,
    ("GET", "/jobs/<job_id>"): ONE,
    ("DELETE", "/jobs/<job_id>"): ONE,
    ("PATCH", "/jobs/<job_id>"): ONE,
    ("POST", "/jobs/<job_id>/cancel"): ONE,
    ("POST", "/jobs/<job_id>/retry"): ONE,
    ("POST", "/jobs/<job_id>/extend"): ONE,
    ("GET", "/jobs/<job_id>/events"): ONE,
    ("GET", "/jobs/<job_id>/epochs"): ONE,
    ("GET", "/jobs/<job_id>/output"): ONE,
    ("GET", "/jobs/<job_id>/system"): ONE,
    ("GET", "/jobs/<job_id>/training_log.csv"): ONE,
    ("GET", "/jobs/<job_id>/checkpoints"): ONE,
    ("GET", "/jobs/<job_id>/checkpoints/<name>"): ONE,
    ("GET", "/jobs/<job_id>/files"): ONE,
    ("GET", "/jobs/<job_id>/files/<path:path>"): ONE,
    ("GET", "/jobs/<job_id>/model"): ONE,
    ("GET", "/jobs/<job_id>/evaluation"): ONE,
    ("GET", "/jobs/<job_id>/bundle.zip"): ONE,
    ("GET", "/jobs/<job_id>/explain"): ONE,
    ("GET", "/jobs/<job_id>/forecast"): ONE,
    ("POST", "/jobs/<job_id>/replay"): ONE,
    ("POST", "/jobs/<job_id>/shares"): ONE,
    ("GET", "/jobs/<job_id>/shares"): ONE,
    ("DELETE", "/jobs/<job_id>/shares/<share_id>"): ONE,
    ("GET", "/replay/patience"): LIST,
    ("POST", "/sweeps"): POST,
    ("GET", "/sweeps"): LIST,
    ("GET", "/sweeps/<sweep_id>"): ONE,
    ("DELETE", "/sweeps/<sweep_id>"): ONE,
    ("GET", "/sweeps/<sweep_id>/trials"): ONE,
    ("GET", "/sweeps/<sweep_id>/explain"): ONE,
    ("POST", "/sweeps/<sweep_id>/cancel"): ONE,
    ("POST", "/sweeps/<sweep_id>/extend"): ONE,
    ("POST", "/sweeps/<sweep_id>/replay"): ONE,
    ("GET", "/webhooks"): LIST,
    ("POST", "/webhooks"): SAME,
    ("GET", "/webhooks/<webhook_id>"): ONE,
    ("DELETE", "/webhooks/<webhook_id>"): ONE,
    ("POST", "/webhooks/<webhook_id>/test"): ONE,
    ("GET", "/usage"): LIST,
    ("GET", "/workers"): LIST,
    ("GET", "/queue"): LIST,
    ("GET", "/limits"): LIST,
    ("GET", "/metrics"): LIST,
    ("GET", "/keys"): ALL,
    ("POST", "/keys"): ALL,
    ("POST", "/keys/<key_id>/revoke"): ALL,
    ("GET", "/openapi.json"): SAME,
    ("GET", "/schema/job.json"): SAME,
    ("GET", "/docs"): SAME,
    ("GET", "/healthz"): SAME,
    ("GET", "/readyz"): SAME,
    ("GET", "/"): SAME,
    ("GET", "/page/jobs/<job_id>"): ONE,
    ("GET", "/page/shared/<job_id>"): SAME,
    ("GET", "/page/compare"): SAME,
    ("GET", "/page/new"): SAME,
    ("GET", "/page/datasets"): SAME,
    ("GET", "/page/keys"): SAME,
    ("GET", "/page/usage"): SAME,
    ("GET", "/page/workers"): SAME,
    ("GET", "/page/webhooks"): SAME,
    ("GET", "/page/sweeps"): SAME,
    ("GET", "/page/sweeps/new"): SAME,
    ("GET", "/page/sweeps/<sweep_id>"): ONE,
    ("GET", "/page/sign-in"): SAME,
    ("POST", "/page/sign-in"): SAME,
    ("POST", "/page/sign-out"): SAME,
    ("POST", "/page/codes"): SAME,
    ("GET", "/page/rows"): LIST,
    ("GET", "/page/static/<name>"): SAME,
    ("GET", "/page/static/vendor/<name>"): SAME,
}
# Routes that take the parameter `project`.
FILTERED = {
    "/datasets", "/models", "/programs", "/jobs", "/queue", "/usage", "/replay/patience", "/page/rows", "/webhooks",
    "/sweeps",
}  # fmt: skip
BODIES = {
    "/webhooks": {"address": "https://example.com/hook", "events": ["job.failed"]},
    "/jobs/<job_id>/extend": {"epochs": 50, "early_stopping": {"patience": 9}},
    "/jobs/<job_id>/replay": {"patience": 2},
    "/sweeps/<sweep_id>/extend": {"trials": 50},
    "/sweeps/<sweep_id>/replay": {"rule": {"name": "median"}},
    "/jobs/<job_id>/shares": {"expires_in_days": 1},
    "/keys": {"name": "ci"},
    "/page/sign-in": {"key": "fs_of-nobody"},
}
PLACES = {"position", "ahead", "queue_position", "detail"}


@pytest.fixture
def settings(settings):
    quota = '{"*": {"bytes": 1000000000, "unfinished_jobs": 50, "gpu_seconds_per_month": 9e9, "cost_per_month": 9e9}}'
    changes = {"requests_per_minute": 10**6, "project_quotas": quota, "max_streams": 100}
    return type(settings).model_validate({**dict(settings), **changes})


@pytest.fixture
def world(app):
    return two_projects(app)


def ask(client, method, rule, thing=None, **more):
    """Send one request; `thing` fills the placeholders of the rule."""
    body = {"json": BODIES[rule]} if rule in BODIES else {}
    if (method, rule) == ("PATCH", "/jobs/<job_id>"):
        body = {"json": {"add_tags": ["one"]}}
    headers = {"Sec-Fetch-Site": "same-origin"} if rule.startswith("/page") else {}
    if method == "PATCH" and "uploads" in rule:
        headers = {"Content-Type": "application/partial-upload", "Upload-Offset": "0", "Upload-Complete": "?0"}
    path = re.sub(r"<(?:\w+:)?(\w+)>", lambda place: value_of(place[1], method, rule, thing), rule)
    return client.open(path, method=method, headers=headers, buffered=True, **{**body, **more})


def value_of(place, method, rule, thing):
    if place == "dataset_id":
        return thing.images if rule.endswith("/images") else thing.dataset
    own = {
        "weights_id": "weights", "key_id": "key_id", "upload_id": "upload", "program_id": "program",
        "webhook_id": "webhook", "share_id": "share",
        "sweep_id": "running_sweep" if rule.endswith("/cancel") else "sweep",
    }  # fmt: skip
    if place in own:
        return getattr(thing, own[place])
    if place in {"name", "path"}:
        return (
            "out/scores.csv"
            if place == "path"
            else "model-01.keras"
            if "checkpoints" in rule
            else "uPlot.min.css"
            if "vendor" in rule
            else "base.css"
        )
    if rule.endswith("/cancel"):
        return thing.waiting
    if rule.endswith("/retry"):
        return thing.failed
    return thing.finished


def test_every_route_has_an_entry(app):
    assert {(method, rule) for method, rule, _ in routes(app)} == set(ROUTES)
    assert set(FILTERED) <= {rule for _, rule in ROUTES}


def test_no_route_is_open_to_a_key_of_too_small_a_scope_or_to_none(world):
    thing = world.things["red"]
    thing.key_id = world.key_id
    for method, rule, endpoint in routes(world.app):
        scope = scope_of(world.app, endpoint)
        status = ask(world.nobody, method, rule, thing).status_code
        expected = {"public": {200, 204, 401}, "page": {303}}.get(scope, {401})
        assert status in expected, (method, rule, status)
        for (_, own), client in world.clients.items():
            if REACH[own] < REACH[scope]:
                assert ask(client, method, rule, thing).status_code == 403, (method, rule, own)


# The parts of a job that a link to it may read.
SHARED_PARTS = ("events", "epochs", "system", "checkpoints", "evaluation", "explain", "forecast")
SHARED = {"/jobs/<job_id>", *(f"/jobs/<job_id>/{part}" for part in SHARED_PARTS)}


def test_a_link_to_a_job_reads_what_its_page_shows_and_nothing_else(world):
    thing, other = world.things["red"], world.things["blue"]
    thing.key_id = other.key_id = world.key_id
    token = world.clients["red", "write"].post(f"/jobs/{thing.finished}/shares", json={}).json["token"]
    client, held = authorized(world.app, token), Service.of(world.app)
    before = [files_of(held, one) for one in (thing, other)]
    for method, rule, endpoint in routes(world.app):
        if scope_of(world.app, endpoint) == "public":
            continue
        is_open = method == "GET" and rule in SHARED
        for verb in (method, "HEAD") if method == "GET" else (method,):
            assert ask(client, verb, rule, thing).status_code == (200 if is_open else 401), (verb, rule)
            assert ask(client, verb, rule, other).status_code == 401, (verb, rule)
        assert not [secret for secret in secrets_of(other) if secret in ask(client, method, rule, thing).text], rule
    for path in (f"/jobs/{thing.waiting}", f"/jobs/{thing.running}/events", f"/jobs/{other.finished}"):
        assert client.get(path).status_code == 401, "another job of the project, or of another one"
    assert [files_of(held, one) for one in (thing, other)] == before


def test_what_another_project_has_answers_as_what_is_not_there(world):
    missing = SimpleNamespace(
        dataset="no-such-data",
        images="no-such-images",
        weights="no-such-weights",
        webhook=new_webhook_id(),
        share="share_000000000000",
        upload="no-such-upload",
        program="no-such-program",
        **dict.fromkeys(("sweep", "running_sweep"), new_sweep_id()),
        **dict.fromkeys(("finished", "waiting", "failed"), new_job_id()),
    )
    seen = 0
    for method, rule, endpoint in routes(world.app):
        if ROUTES[method, rule] != ONE:
            continue
        for own, other in (PROJECTS, PROJECTS[::-1]):
            for scope in ("read", "write", "code"):
                if REACH[scope] < REACH[scope_of(world.app, endpoint)]:
                    continue
                before = files_of(Service.of(world.app), world.things[other])
                client = world.clients[own, scope]
                for verb in (method, "HEAD") if method == "GET" else (method,):
                    foreign = ask(client, verb, rule, world.things[other])
                    none = ask(client, verb, rule, missing)
                    ids = [one for thing in (world.things[other], missing) for one in ids_of(thing)]
                    assert steady(foreign, *ids) == steady(none, *ids), (verb, rule)
                    assert foreign.status_code == 404, (verb, rule, foreign.status_code)
                    assert set(foreign.headers.keys()) == set(none.headers.keys())
                    seen += 1
                assert files_of(Service.of(world.app), world.things[other]) == before, (method, rule)
    assert seen > 80


def test_own_things_are_reached_and_an_admin_reaches_all(world):
    reached = 0
    for method, rule, endpoint in sorted(routes(world.app), key=lambda one: one[0] == "DELETE"):
        if ROUTES[method, rule] != ONE:
            continue
        scope = scope_of(world.app, endpoint)
        for who in [("red", "read" if scope in {"page", "shared"} else scope), ("blue", "admin")]:
            answer = ask(world.clients[who], method, rule, fresh(world, "red", method, rule))
            assert answer.status_code < 300, (who, method, rule, answer.get_data(as_text=True))
            reached += 1
    assert reached > 30


def fresh(world, name, method, rule):
    """Return the project's things; new ones for a request that changes them."""
    if method == "GET" or rule.endswith("replay"):
        return world.things[name]
    thing = put_things(Service.of(world.app), name)
    if (method, rule) == ("DELETE", "/datasets/<dataset_id>"):
        thing.dataset = f"{name}-{thing.finished[-8:].lower()}"
        put_dataset(world.volume, learnable_frame(10), thing.dataset, name)
    if (method, rule) == ("DELETE", "/models/<weights_id>"):
        thing.weights = f"{name}-{thing.finished[-8:].lower()}"
        put_weights(world.volume, thing.weights, project=name)
    if (method, rule) == ("DELETE", "/programs/<program_id>"):
        thing.program = f"{name}-{thing.finished[-8:].lower()}"
        put_program(world.volume, thing.program, project=name)
    return thing


def test_no_answer_names_what_belongs_to_another_project(world):
    for method, rule, endpoint in routes(world.app):
        if ROUTES[method, rule] not in {LIST, SAME} or method != "GET":
            continue
        for own, other in (PROJECTS, PROJECTS[::-1]):
            for scope in ("read", "write", "code"):
                if REACH[scope] < REACH[scope_of(world.app, endpoint)]:
                    continue
                text = ask(world.clients[own, scope], method, rule, world.things[own]).get_data(as_text=True)
                found = [secret for secret in secrets_of(world.things[other]) if secret in text]
                assert not found, (rule, found)


def test_lists_and_counts_do_not_change_with_what_another_project_does(world):
    client = world.clients["red", "read"]

    def look():
        return {rule: lists_of(client, rule) for (_, rule), kind in ROUTES.items() if kind == LIST}

    usage = Service.of(world.app).usage
    before = look()
    assert json.loads(before["/datasets"])["data"], "there is something to see"
    for _ in range(3):
        put_things(Service.of(world.app), "blue")
    put_dataset(world.volume, learnable_frame(), "blue-other", "blue")
    for name in PROJECTS:
        usage.forget(name)
    assert look() == before
    # An admin's key shows everything that exists now.
    assert len(world.clients["blue", "admin"].get("/jobs?limit=100").json["data"]) == 5 * 4


def test_lists_keep_to_the_project_while_the_index_is_made(world, monkeypatch):
    def fall_behind():
        raise IndexNotReady

    monkeypatch.setattr(Service.of(world.app).index, "catch_up", fall_behind)
    for rule in sorted(rule for (_, rule), kind in ROUTES.items() if kind == LIST):
        answer = world.clients["red", "read"].get(rule)
        text = answer.get_data(as_text=True)
        assert answer.status_code == 200
        assert not [secret for secret in secrets_of(world.things["blue"]) if secret in text], rule
    assert world.clients["red", "read"].get("/usage").json["total"]["jobs"] == 2
    assert [table["jobs"] for table in world.clients["red", "read"].get("/replay/patience").json["data"]] == [1]
    assert len(world.clients["red", "admin"].get("/jobs").json["data"]) == 8


def lists_of(client, rule):
    """Return a list without queue positions, which count the jobs of all projects by design."""
    answer = client.get(rule)
    assert answer.status_code == 200
    text = MOMENTS.sub('""', answer.get_data(as_text=True))
    if not answer.is_json:
        return text
    return json.dumps(without_places(answer.json))


def without_places(value):
    if isinstance(value, dict):
        kept = {name: one for name, one in value.items() if name not in PLACES and not name.endswith("_seconds")}
        return {name: without_places(one) for name, one in kept.items()}
    return [without_places(one) for one in value] if isinstance(value, list) else value


def test_the_event_stream_of_another_project_is_not_there(world):
    stream = {"Accept": "text/event-stream"}
    client = world.clients["red", "read"]
    foreign = client.get(f"/jobs/{world.things['blue'].running}/events", headers=stream)
    assert (foreign.status_code, foreign.content_type) == (404, "application/problem+json")
    waits = client.get(f"/jobs/{world.things['blue'].running}?wait=60")
    assert waits.status_code == 404
    own, blue, missing = world.things["red"].finished, world.things["blue"].finished, new_job_id()
    foreign, none = (client.get(f"/replay/patience?jobs={own},{other}") for other in (blue, missing))
    assert steady(foreign, blue) == steady(none, missing)
    assert foreign.status_code == 404


@pytest.mark.parametrize("rule", sorted(FILTERED))
def test_only_an_admin_lists_another_project(world, rule):
    for scope in ("read", "write", "code"):
        assert world.clients["red", scope].get(f"{rule}?project=red").status_code == 200
        refused = world.clients["red", scope].get(f"{rule}?project=blue")
        assert refused.status_code == 422
        assert refused.json["errors"][0]["pointer"] == "#/query/project"
        assert steady(refused, "blue") == steady(world.clients["red", scope].get(f"{rule}?project=none"), "none")
    admin = world.clients["red", "admin"]
    text = admin.get(f"{rule}?project=blue").get_data(as_text=True)
    assert not any(secret in text for secret in secrets_of(world.things["red"])), rule
    assert admin.get(f"{rule}?project=Not a project").status_code == 422
    assert admin.get(f"{rule}?project=nobody").status_code == 200


def test_metrics_and_usage_count_the_project_alone(world):
    usage = world.clients["red", "read"].get("/usage?by=project").json
    assert [row["project"] for row in usage["data"]] == ["red"]
    assert usage["total"]["jobs"] == 2
    assert world.clients["red", "admin"].get("/usage").json["total"]["jobs"] == 4
    metrics = world.clients["red", "read"].get("/metrics").get_data(as_text=True)
    assert 'fitstop_jobs{status="succeeded"} 1.0' in metrics
    assert 'fitstop_jobs{status="running"} 1.0' in metrics
    assert "fitstop_requests_total" not in metrics
    whole = world.clients["red", "admin"].get("/metrics").get_data(as_text=True)
    assert 'fitstop_jobs{status="succeeded"} 2.0' in whole
    assert "fitstop_requests_total" in whole
