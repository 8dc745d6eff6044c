"""Every route of the table, asked over a real server and in the test's own process: status, headers and body are equal.

What only a server does to an answer (a length, a body that is streamed, a HEAD) is seen here and nowhere else: an empty
bundle was, since all its tests asked in process.
"""

import io
import json
import re
import zipfile

import pytest

from api import create_app
from api.document.openapi import routes
from shared.job import Ending
from shared.settings import Settings
from shared.times import utc_now
from shared.volume import OpenJob
from shared.worker_card import WorkerCard
from tests.support.finished_job import MODEL, finished_job
from tests.support.jobs import learnable_frame, put_dataset, put_images, put_job, small_spec
from tests.support.keys import ADMIN_KEY, authorized
from tests.support.weights import HDF5, put_weights

CSV = b"kind,label\n" + b"red,1\nblue,0\nred,0\n" * 20
UPLOADS = {"/datasets/<dataset_id>": CSV, "/models/<weights_id>": HDF5}
# Own to each answer, or said by the server alone.
NOT_COMPARED = {"date", "server", "connection", "x-request-id", "set-cookie", "transfer-encoding"}
# Counted while the test runs.
NOT_COMPARED |= {"ratelimit", "ratelimit-policy"}
# Everything that a moment, a counter or chance is part of.
VARIABLE = re.compile(
    r'"(?:request_id|checked_at|seen_at|created_at|revoked_at|expires_at|key|id|code|prefix|last_used_at|requested_at|now'
    r'|seconds|last_seen_seconds|uptime_seconds|free_bytes|remaining)":\s*(?:"[^"]*"|[0-9.e+-]+|null)'
)
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
BODIES = {
    ("POST", "/jobs"): small_spec(),
    ("POST", "/jobs/<job_id>/extend"): {"epochs": 50, "early_stopping": {"patience": 9}},
    ("POST", "/jobs/<job_id>/replay"): {"patience": 2},
    ("POST", "/keys"): {"name": "ci"},
    ("POST", "/page/sign-in"): {"key": ADMIN_KEY},
}
# Counters of the process that answers.
BODY_DIFFERS = {("GET", "/metrics")}


@pytest.fixture(scope="module")
def here(api, redis_server):
    """The same application on the same volume, in this process."""
    app = create_app(
        Settings(
            volume=api.volume.root,
            redis_url=redis_server.url,
            admin_key=ADMIN_KEY,
            max_dataset_bytes=3_000_000,
            max_streams=4,
        )
    )
    return authorized(app)


@pytest.fixture
def worker(api):
    """A worker's card, so that the service says that it is ready."""
    card = WorkerCard(
        worker="w", host="h", pid=1, device="CPU", slots=1, child_start="spawn", ready=True, draining=False, running=(),
        started_at=utc_now(), seen_at=utc_now(),
    )  # fmt: skip
    api.volume.show_worker(card)
    yield
    api.volume.remove_worker("w")


def fresh_weights(volume, method, number):
    """A path of weights that are to be uploaded, or of some that are to be deleted."""
    name = f"{method.lower()}-{number}"
    if method == "DELETE":
        put_weights(volume, name)
    return f"/models/{name}"


@pytest.fixture
def target(api, worker):
    """Fills a rule's places, with things of this test's own: what one answer changes is not there for the other."""
    volume = api.volume
    if volume.dataset("grades") is None:
        put_dataset(volume, learnable_frame())
        put_weights(volume)
        put_images(volume)
    numbers = iter(range(100))

    def fill(method, rule):
        if rule == "/datasets/<dataset_id>" and method == "PUT":
            return f"/datasets/sent-{method.lower()}-{next(numbers)}"
        if rule == "/models/<weights_id>" and method != "GET":
            return fresh_weights(volume, method, next(numbers))
        if rule == "/datasets/<dataset_id>" and method == "DELETE":
            name = f"doomed-{next(numbers)}"
            put_dataset(volume, learnable_frame(), name)
            return f"/datasets/{name}"
        if rule in {"/jobs/<job_id>/cancel", "/jobs/<job_id>/retry"}:
            job = put_job(volume, small_spec())
            if rule.endswith("retry"):
                job.settle(Ending(status="cancelled"), None)
                volume.close_job(OpenJob(5, job.id))
        else:
            job = fill.finished if method == "GET" else finished_job(volume)
        values = {
            "dataset_id": "pictures" if rule.endswith("/images") else "grades",
            "weights_id": "first",
            "job_id": job.id,
            "key_id": fill.key,
            "name": "model-01.keras" if "checkpoints" in rule else "uPlot.min.css" if "vendor" in rule else "base.css",
        }
        return re.sub(r"<(\w+)>", lambda place: values[place[1]], rule)

    fill.finished = finished_job(volume)
    fill.key = api.ask("POST", "/keys", {"name": "own"}).json["id"]
    return fill


def test_every_route_answers_over_a_server_what_the_application_gives(api, here, target):
    wrong, seen = [], 0
    for method, rule, _ in routes(here.application):
        for verb in (method, "HEAD") if method == "GET" else (method,):
            seen += 1
            wrong += [f"{verb} {rule}: {said}" for said in differences(api, here, target, verb, method, rule)]
    assert not wrong, "\n".join(wrong)
    assert seen > 60


def differences(api, here, target, verb, method, rule):
    sent = UPLOADS[rule] if method == "PUT" else BODIES.get((method, rule))
    headers = {"Sec-Fetch-Site": "same-origin"} if rule.startswith("/page") else {}
    content = {"json": sent} if isinstance(sent, dict) else {"data": sent}
    ours = here.open(target(method, rule), method=verb, buffered=True, headers=headers, **content)
    theirs = api.ask(verb, target(method, rule), sent, **headers)
    if theirs.status != ours.status_code or theirs.status >= 400:
        yield f"status {theirs.status}, in process {ours.status_code}: {theirs.body[:300]!r}"
    yield from header_differences(theirs, dict(ours.headers), is_head=verb == "HEAD")
    if verb == "HEAD":
        if theirs.body:
            yield f"a body of {len(theirs.body)} bytes"
        return
    is_compared = method == "GET" and (method, rule) not in BODY_DIFFERS
    if is_compared and steady(theirs.body) != steady(ours.data):
        yield f"a body that differs {first_difference(steady(theirs.body), steady(ours.data))}"
    if bool(theirs.body) != bool(ours.data):
        yield f"{len(theirs.body)} bytes, in process {len(ours.data)}"


def header_differences(theirs, ours, *, is_head):
    length = theirs.headers["Content-Length"]
    if not is_head and length is not None and int(length) != len(theirs.body):
        yield f"Content-Length {length}, and a body of {len(theirs.body)} bytes"
    may_lack = NOT_COMPARED | ({"content-length"} if is_head else set())
    missing = {name.lower() for name in ours} - {name.lower() for name in dict(theirs.headers)} - may_lack
    if missing:
        yield f"no header {missing}"
    if theirs.headers["Content-Type"] != ours.get("Content-Type"):
        yield f"Content-Type {theirs.headers['Content-Type']}, in process {ours.get('Content-Type')}"


def first_difference(one, other):
    place = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return (
        f"at {place}: {one[max(0, place - 80) : place + 80]!r}, in process {other[max(0, place - 80) : place + 80]!r}"
    )


def steady(body):
    """A body without what differs from one answer to the next."""
    try:
        return MOMENT.sub("", VARIABLE.sub("", json.dumps(json.loads(body), sort_keys=True)))
    except ValueError:
        return body


def test_a_bundle_comes_whole_over_a_server(api, target):
    job = finished_job(api.volume)
    answer = api.ask("GET", f"/jobs/{job.id}/bundle.zip")
    archive = zipfile.ZipFile(io.BytesIO(answer.body))
    assert archive.testzip() is None
    assert archive.read(f"{job.id}/model.keras") == MODEL


@pytest.mark.parametrize("header", ["SCRIPT_NAME", "SCRIPT-NAME", "PATH_INFO", "X-Forwarded-Prefix", "X-Script-Name"])
@pytest.mark.parametrize(("path", "value"), [("/datasets", "/datasets"), ("/healthz", "/x"), ("/datasets", "/x")])
def test_no_header_of_a_client_changes_the_route(api, header, path, value):
    with_header, without = api.ask("GET", path, **{header: value}), api.ask("GET", path)
    assert (with_header.status, steady(with_header.body)) == (without.status, steady(without.body))
