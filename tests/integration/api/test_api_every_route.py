"""Every route of the table, over a real server and in the test's own process: status, headers and body are equal.

Only these tests see what a server alone does to an answer (a length, a streamed body, a HEAD). They found an empty
bundle, which its own tests, all in process, had missed.
"""

import io
import json
import re
import shutil
import zipfile

import pytest

from api import create_app
from api.document.openapi import routes
from shared.job import Ending
from shared.open_job import OpenJob
from shared.settings import Settings
from shared.times import time_in, utc_now
from shared.worker_card import WorkerCard
from tests.support.evaluations import classified, leave_evaluation
from tests.support.finished_job import MODEL, finished_job
from tests.support.jobs import learnable_frame, put_dataset, put_images, put_job, small_spec
from tests.support.keys import ADMIN_KEY, authorized
from tests.support.past_sweeps import ended_sweep, running_sweep
from tests.support.programs import SCRIPT, put_program
from tests.support.sweeps import sweep_document
from tests.support.system import leave_system, seconds_of
from tests.support.weights import HDF5, put_weights

CSV = b"kind,label\n" + b"red,1\nblue,0\nred,0\n" * 20
PARTS = "/datasets/<dataset_id>/uploads/<upload_id>"
SENT = {"/datasets/<dataset_id>": CSV, "/models/<weights_id>": HDF5, "/programs/<program_id>": SCRIPT}
PART_HEADERS = {
    "PUT": {"Upload-Length": str(len(CSV))},
    "PATCH": {"Content-Type": "application/partial-upload", "Upload-Offset": "0", "Upload-Complete": "?0"},
}
# Different in each answer, or set only by the server.
NOT_COMPARED = {"date", "server", "connection", "x-request-id", "set-cookie", "transfer-encoding"}
# Counted while the test runs.
NOT_COMPARED |= {"ratelimit", "ratelimit-policy"}
# Values that depend on the time, a counter or chance.
VARIABLE = re.compile(
    r'"(?:request_id|checked_at|seen_at|created_at|revoked_at|expires_at|key|id|code|token|url|prefix|last_used_at|requested_at|now'
    r'|seconds|last_seen_seconds|uptime_seconds|free_bytes|remaining)":\s*(?:"[^"]*"|[0-9.e+-]+|null)'
)
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
BODIES = {
    ("POST", "/jobs"): small_spec(),
    ("POST", "/jobs/<job_id>/extend"): {"epochs": 50, "early_stopping": {"patience": 9}},
    ("POST", "/jobs/<job_id>/replay"): {"patience": 2},
    ("POST", "/sweeps"): sweep_document(),
    ("POST", "/sweeps/<sweep_id>/extend"): {"trials": 50},
    ("POST", "/sweeps/<sweep_id>/replay"): {"rule": {"name": "median"}},
    ("POST", "/keys"): {"name": "ci"},
    ("POST", "/webhooks"): {"address": "https://example.com/hook", "events": ["job.failed"]},
    ("POST", "/jobs/<job_id>/shares"): {"expires_in_days": 1},
    ("POST", "/page/sign-in"): {"key": ADMIN_KEY},
    ("PATCH", PARTS): CSV[:9],
    ("PATCH", "/jobs/<job_id>"): {"add_tags": ["one"], "note": "two"},
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
    """A worker's card, so that the service reports that it is ready; valid for more than 30 s, for a slow machine."""
    card = WorkerCard(
        worker="w", host="h", pid=1, device="CPU", slots=1, child_start="spawn", ready=True, draining=False, running=(),
        started_at=utc_now(), seen_at=time_in(3600),
    )  # fmt: skip
    api.volume.show_worker(card)
    yield
    api.volume.remove_worker("w")


def put_dataset_with(volume, name):
    put_dataset(volume, learnable_frame(), name)


# How to make what a request replaces or deletes.
PUT = {"datasets": put_dataset_with, "models": put_weights, "programs": put_program}


def fresh(api, method, rule, number):
    """Return a path to upload to, or of something made for this request to change or delete."""
    name = "shown" if method == "GET" else f"{method.lower()}-{number}"
    kind = rule.split("/")[1]
    if rule == PARTS:
        path = f"/datasets/{name}/uploads/one"
        if method != "PUT":
            assert api.ask("PUT", path, **PART_HEADERS["PUT"]).status in {200, 201}
        return path
    if method == "DELETE":
        PUT[kind](api.volume, name)
    return f"/{kind}/{name}"


def sweep_of(volume, method, rule, fill):
    """Return the id of a sweep to view, or of one made for this request to cancel or delete."""
    if method == "GET":
        return fill.sweep.id
    return (running_sweep if rule.endswith("/cancel") else ended_sweep)(volume).id


def make_share(api, rule, job_id):
    """Return the id of a new link to the job, if the route names one."""
    return api.ask("POST", f"/jobs/{job_id}/shares", {}).json["id"] if "<share_id>" in rule else None


@pytest.fixture
def target(api, worker):
    """Fill a rule's placeholders with things of this test only, so that one answer changes nothing for the other."""
    volume = api.volume
    if volume.dataset("grades") is None:
        put_dataset(volume, learnable_frame())
        put_weights(volume)
        put_images(volume)
        put_program(volume)
    numbers = iter(range(100))

    def make_webhook():
        return api.ask("POST", "/webhooks", BODIES["POST", "/webhooks"]).json["id"]

    def fill(method, rule):
        if rule == PARTS or (rule in SENT and method != "GET"):
            return fresh(api, method, rule, next(numbers))
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
            "program_id": "mine",
            "webhook_id": make_webhook() if method != "GET" else fill.webhook,
            "share_id": make_share(api, rule, job.id),
            "path": "out/scores.csv",
            "job_id": job.id,
            "sweep_id": sweep_of(volume, method, rule, fill),
            "key_id": fill.key,
            "name": "model-01.keras" if "checkpoints" in rule else "uPlot.min.css" if "vendor" in rule else "base.css",
        }
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda place: values[place[1]], rule)

    fill.finished = finished_job(volume)
    leave_evaluation(fill.finished.attempts()[0], "binary", classified(("a", "b"), [0, 1], [[0.9, 0.1], [0.2, 0.8]]))
    leave_system(fill.finished.attempts()[0], seconds_of(3, cpu_cores=1.0))
    fill.key = api.ask("POST", "/keys", {"name": "own"}).json["id"]
    fill.webhook = make_webhook()
    fill.sweep = ended_sweep(volume)
    yield fill
    for upload in volume.datasets.glob(".partial-*"):
        shutil.rmtree(upload)


def test_every_route_answers_over_a_server_what_the_application_gives(api, here, target):
    wrong, seen = [], 0
    for method, rule, _ in routes(here.application):
        for verb in (method, "HEAD") if method == "GET" else (method,):
            seen += 1
            wrong += [f"{verb} {rule}: {said}" for said in differences(api, here, target, verb, method, rule)]
    assert not wrong, "\n".join(wrong)
    assert seen > 60


def differences(api, here, target, verb, method, rule):
    sent = SENT.get(rule) if method == "PUT" else BODIES.get((method, rule))
    headers = {"Sec-Fetch-Site": "same-origin"} if rule.startswith("/page") else {}
    headers |= PART_HEADERS.get(method, {}) if rule == PARTS else {}
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
    """Return a body without what differs from one answer to the next."""
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
