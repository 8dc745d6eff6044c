"""What the API's document says of each route, beside its view's own words: query, body, answers, errors.

`api.openapi` makes the document of it, and a test walks the route table so that none is missing.
"""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from api import shapes
from api.extend import ExtendRequest
from api.keys import KeyRequest
from api.page import shapes as page_shapes
from api.page.sign_in import SignInRequest
from api.replay import ReplaySettings
from api.upload_options import UPLOAD_PARAMETERS
from shared.ids import DATASET_ID_PATTERN
from shared.spec import JobSpec
from shared.times import utc_now

Schema = dict[str, Any]

JSON, PROBLEM, STREAM = "application/json", "application/problem+json", "text/event-stream"
BYTES = "application/octet-stream"

ERRORS = {
    400: "The request cannot be read.",
    401: "No API key, or one that is unknown, expired or revoked.",
    403: "The key's scope does not reach this.",
    404: "There is nothing of this name.",
    405: "The route does not take this method; `Allow` says which it takes.",
    408: "The body came too slowly.",
    409: "It is there, and its state forbids this.",
    413: "The body is too large.",
    415: "The body is of a kind that is not taken.",
    416: "The range lies outside the file.",
    422: "What was asked cannot be done; `errors` lists every reason.",
    429: "The key has used up what it may; `Retry-After` says when there is more.",
    500: "An error of ours; the log has it under the request's id.",
    503: "The service cannot do this now; try again later.",
    507: "The volume is full; nothing was stored.",
}

README_JOB: Schema = {
    "name": "wine-quality",
    "dataset": {"id": "wine-quality", "target": "quality", "positive": {"at_least": 6}},
}


@dataclass(frozen=True)
class Answer:
    """One answer that is no error: its media types, each with a model or a plain schema."""

    says: str
    content: dict[str, type[BaseModel] | Schema] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    links: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """One route: `name` is its operationId."""

    name: str
    tag: str
    says: str
    answers: dict[int, Answer]
    query: dict[str, Schema] = field(default_factory=dict)
    headers: dict[str, Schema] = field(default_factory=dict)
    body: dict[str, type[BaseModel] | Schema] = field(default_factory=dict)
    example: Any = None
    errors: tuple[int, ...] = ()


def _json(says: str, model: type[BaseModel], **more: Any) -> Answer:
    return Answer(says, {JSON: model}, **more)


def _integer(low: int, high: int, default: int | None = None, says: str = "") -> Schema:
    schema: Schema = {"type": "integer", "minimum": low, "maximum": high}
    return {**schema, **({"default": default} if default is not None else {}), "description": says}


def _text(says: str, **more: Any) -> Schema:
    return {"type": "string", "description": says, **more}


_AFTER_JOB = _text("The last id of the page before.", pattern=r"^job_[0-9A-HJKMNP-TV-Z]{26}$")
_MOMENT = {"type": "string", "format": "date-time", "examples": [utc_now()]}
_DAY = {"type": "string", "format": "date", "examples": [utc_now()[:10]]}
_STATUSES = ["queued", "running", "succeeded", "failed", "cancelled"]
_WANTED: dict[str, Schema] = {
    "after": _AFTER_JOB,
    "status": {"type": "array", "items": {"type": "string", "enum": _STATUSES}, "description": "May be repeated."},
    "name": _text("Jobs of this name."),
    "created_after": {**_MOMENT, "description": "Jobs posted later than this."},
    "created_before": {**_MOMENT, "description": "Jobs posted earlier than this."},
    "metadata.NAME": _text("Jobs whose metadata has this value under NAME, any name of theirs."),
}
_KNOWN = {"If-None-Match": _text("The ETag of what the client has.")}
_RANGE = {**_KNOWN, "Range": _text("A range of the file's bytes."), "If-Range": _text("The ETag that the range is of.")}
_ONCE = {
    "Idempotency-Key": _text("Repeats of a post with the same key make one job.", pattern="^[!#-+\\--\\[\\]-~]{1,255}$")
}
_BODY = (400, 408, 413, 415)
_JOB_LINKS = {
    name: (name, {"job_id": "$response.body#/id"})
    for name in (
        "showJob",
        "cancelJob",
        "retryJob",
        "extendJob",
        "deleteJob",
        "listEvents",
        "listEpochs",
        "listCheckpoints",
        "explainJob",
        "forecastJob",
        "replayJob",
    )
}
_DATASET_LINKS = {name: (name, {"dataset_id": "$response.body#/id"}) for name in ("showDataset", "deleteDataset")}
_FILE_HEADERS = ("Content-Disposition", "ETag", "Repr-Digest", "Accept-Ranges")


def _file(says: str) -> dict[int, Answer]:
    schema = {BYTES: {"type": "string", "format": "binary"}}
    return {
        200: Answer(says, {**schema}, headers=_FILE_HEADERS),
        206: Answer("One range of it.", {**schema}, headers=(*_FILE_HEADERS, "Content-Range")),
        304: Answer("The client has it."),
    }


_HTML: dict[str, type[BaseModel] | Schema] = {"text/html": {"type": "string"}}
_FILE: dict[str, type[BaseModel] | Schema] = {
    kind: {"type": "string"} for kind in ("text/javascript", "text/css", "image/svg+xml")
}


def _shown(name: str, says: str, *, may_miss: bool = False) -> Operation:
    """A page: for those who are signed in, others are sent to where that is done."""
    html = Answer("HTML.", _HTML)
    answers = {200: html, 303: Answer("Sign in first.", headers=("Location",)), **({404: html} if may_miss else {})}
    return Operation(name, "page", says, answers)


_NOT_READY = Answer("Not now; the checks say why.", {JSON: shapes.Ready, PROBLEM: shapes.ProblemDocument})

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/datasets"): Operation(
        "listDatasets", "datasets", "List the datasets",
        {200: _json("One page.", shapes.Page[shapes.Dataset])},
        query={"limit": _integer(1, 100, 20), "after": _text("The last id of the page before.")},
    ),
    ("PUT", "/datasets/<dataset_id>"): Operation(
        "putDataset", "datasets", "Upload a dataset",
        {
            200: _json("They were there, read alike.", shapes.Dataset, headers=("Location",), links=_DATASET_LINKS),
            201: _json("It is there.", shapes.Dataset, headers=("Location",), links=_DATASET_LINKS),
        },
        query={"name": _text("The name of the file that it was.", minLength=1, maxLength=256), **UPLOAD_PARAMETERS},
        body={
            "text/csv": {"type": "string", "minLength": 1},
            "application/vnd.apache.parquet": {"type": "string", "format": "binary"},
        },
        example="kind,size,label\nred,1.5,0\nblue,2.5,1\nred,3.5,1\nblue,0.5,0\n",
        errors=(*_BODY, 409, 503, 507),
    ),
    ("GET", "/datasets/<dataset_id>"): Operation(
        "showDataset", "datasets", "Show a dataset and its profile",
        {200: _json("It.", shapes.Dataset)}, errors=(404,),
    ),
    ("DELETE", "/datasets/<dataset_id>"): Operation(
        "deleteDataset", "datasets", "Delete a dataset that no unfinished job uses",
        {204: Answer("It is gone.")}, errors=(404, 409),
    ),
    ("POST", "/jobs"): Operation(
        "postJob", "jobs", "Post a job, or try its spec",
        {
            200: _json("The dry run: what would be stored.", shapes.DryRun),
            202: _json("The job is safe.", shapes.Job, headers=("Location",), links=_JOB_LINKS),
        },
        query={"dry_run": {"type": "boolean", "default": False, "description": "Check everything, store nothing."}},
        headers=_ONCE,
        body={JSON: JobSpec},
        example=README_JOB,
        errors=(*_BODY, 404, 409, 503, 507),
    ),
    ("GET", "/jobs"): Operation(
        "listJobs", "jobs", "List the jobs, newest first",
        {200: _json("One page.", shapes.JobPage)},
        query={"limit": _integer(1, 100, 20), **_WANTED},
        errors=(503,),
    ),
    ("GET", "/jobs/<job_id>"): Operation(
        "showJob", "jobs", "Show a job, or wait for its next change",
        {
            200: _json("It.", shapes.Job, headers=("ETag", "Retry-After")),
            304: Answer("It is as the client knows it."),
        },
        query={"wait": _integer(0, 60, 0, "Seconds to wait for a change.")},
        headers=_KNOWN, errors=(404,),
    ),
    ("DELETE", "/jobs/<job_id>"): Operation(
        "deleteJob", "jobs", "Delete a job that is over",
        {204: Answer("It is gone.")}, errors=(404, 409),
    ),
    ("POST", "/jobs/<job_id>/cancel"): Operation(
        "cancelJob", "jobs", "Stop a job",
        {200: _json("The job: over, or asked to end.", shapes.Job)}, errors=(404, 409, 507),
    ),
    ("POST", "/jobs/<job_id>/retry"): Operation(
        "retryJob", "jobs", "Try a job anew that has failed or was cancelled",
        {202: _json("The new job is safe.", shapes.Job, headers=("Location",), links=_JOB_LINKS)},
        headers=_ONCE, errors=(400, 404, 409, 507),
    ),
    ("POST", "/jobs/<job_id>/extend"): Operation(
        "extendJob", "jobs", "Carry on with a job that is over, as a new job under other settings",
        {202: _json("The new job is safe.", shapes.Job, headers=("Location",), links=_JOB_LINKS)},
        headers=_ONCE, body={JSON: ExtendRequest}, example={"early_stopping": {"patience": 20}},
        errors=(*_BODY, 404, 409, 507),
    ),
    ("GET", "/jobs/<job_id>/events"): Operation(
        "listEvents", "progress", "Read what happened in a job, or hear it while it happens",
        {200: Answer("One page, or the stream.", {JSON: shapes.EventPage, STREAM: {"type": "string"}})},
        query={
            "after": _text("The id of the last event that the client has.", pattern="^[0-9]{1,9}:[0-9]{1,18}$"),
            "limit": _integer(1, 1000, 200),
        },
        headers={"Last-Event-ID": _text("As `after`; outweighs it.", pattern="^[0-9]{1,9}:[0-9]{1,18}$")},
        errors=(404, 503),
    ),
    ("GET", "/jobs/<job_id>/epochs"): Operation(
        "listEpochs", "progress", "Read a job's epochs as rows",
        {200: _json("One page, or a sample.", shapes.EpochPage)},
        query={
            "after": _integer(0, 2**53, 0, "The last epoch that the client has."),
            "limit": _integer(1, 10_000, 1000),
            "points": _integer(3, 10_000, None, "At most so many, evenly chosen."),
        },
        errors=(404,),
    ),
    ("GET", "/jobs/<job_id>/training_log.csv"): Operation(
        "getTrainingLog", "files", "Fetch training_log.csv; epochs count from 0 here",
        {200: Answer("Its whole lines.", {"text/csv": {"type": "string"}}, headers=("Content-Disposition",))},
        errors=(404,),
    ),
    ("GET", "/jobs/<job_id>/checkpoints"): Operation(
        "listCheckpoints", "files", "List the models that are kept",
        {200: _json("All of them.", shapes.Page[shapes.Checkpoint])}, errors=(404,),
    ),
    ("GET", "/jobs/<job_id>/checkpoints/<name>"): Operation(
        "getCheckpoint", "files", "Fetch one of them", _file("The file."), headers=_RANGE, errors=(404, 416),
    ),
    ("GET", "/jobs/<job_id>/model"): Operation(
        "getModel", "files", "Fetch the best one", _file("The file."), headers=_RANGE, errors=(404, 416),
    ),
    ("GET", "/jobs/<job_id>/bundle.zip"): Operation(
        "getBundle", "files", "Fetch all that predicting takes",
        {
            200: Answer("The archive.", {"application/zip": {"type": "string", "format": "binary"}},
                        headers=("Content-Disposition", "ETag", "Repr-Digest")),
            304: Answer("The client has it."),
        },
        headers=_KNOWN, errors=(404,),
    ),
    ("GET", "/jobs/<job_id>/explain"): Operation(
        "explainJob", "insight", "Say why a job waits, runs or stopped",
        {200: _json("In sentences.", shapes.Explanation)}, errors=(404,),
    ),
    ("GET", "/jobs/<job_id>/forecast"): Operation(
        "forecastJob", "insight", "Foresee where a running job will stop",
        {200: _json("The forecast, or why there is none.", shapes.Forecast)}, errors=(404,),
    ),
    ("POST", "/jobs/<job_id>/replay"): Operation(
        "replayJob", "insight", "See where a job would have stopped under other settings",
        {200: _json("The answer; nothing is stored.", shapes.Replay)},
        body={JSON: ReplaySettings}, example={"patience": 5}, errors=(*_BODY, 404, 409),
    ),
    ("GET", "/replay/patience"): Operation(
        "comparePatience", "insight", "See what each patience would have saved and lost over past jobs",
        {200: _json("A table for each monitor.", shapes.PatienceTables)},
        query={
            "jobs": _text("Ids of up to 200 jobs with commas between them; else the newest 60 that succeeded."),
            "most": _integer(1, 1000, 30, "The greatest patience of the table."),
            "tolerance": {
                "type": "number", "minimum": 0, "default": 0, "description": "How much worse a model may become.",
            },
        },
        errors=(404,),
    ),
    ("GET", "/usage"): Operation(
        "showUsage", "insight", "Add up what past jobs held GPUs for",
        {200: _json("The sums.", shapes.Usage)},
        query={
            "by": {
                "type": "string", "enum": ["day", "dataset", "key", "worker"], "default": "day",
                "description": "The groups.",
            },
            "from": {**_DAY, "description": "The first day (UTC) on which jobs ended; else the thirtieth up to `to`."},
            "to": {**_DAY, "description": "The last one; else today."},
        },
    ),
    ("GET", "/queue"): Operation(
        "listQueue", "service", "See what waits, and why",
        {200: _json("The queue from its head.", shapes.Page[shapes.QueuedJob])},
        query={"limit": _integer(1, 1000, 100), "after": _AFTER_JOB},
    ),
    ("GET", "/workers"): Operation(
        "listWorkers", "service", "See who works", {200: _json("All of them.", shapes.Page[shapes.Worker])},
    ),
    ("GET", "/limits"): Operation(
        "showLimits", "service", "See what is taken at most", {200: _json("The limits.", shapes.Limits)},
    ),
    ("GET", "/metrics"): Operation(
        "showMetrics", "service", "Metrics for Prometheus",
        {200: Answer("Prometheus's text.", {"text/plain": {"type": "string"}})},
    ),
    ("GET", "/keys"): Operation(
        "listKeys", "keys", "List the API keys", {200: _json("All of them.", shapes.Page[shapes.ListedKey])},
    ),
    ("POST", "/keys"): Operation(
        "createKey", "keys", "Make an API key",
        {201: _json("The only answer that holds it.", shapes.NewKey,
                    links={"revokeKey": ("revokeKey", {"key_id": "$response.body#/id"})})},
        body={JSON: KeyRequest}, example={"name": "ci", "scope": "write", "expires_in_days": 90}, errors=(*_BODY, 507),
    ),
    ("POST", "/keys/<key_id>/revoke"): Operation(
        "revokeKey", "keys", "End an API key for good",
        {200: _json("It.", shapes.Key)}, errors=(404, 409, 507),
    ),
    ("GET", "/healthz"): Operation(
        "alive", "service", "Is the process there?", {200: _json("Yes.", shapes.Alive)},
    ),
    ("GET", "/readyz"): Operation(
        "ready", "service", "Would a job posted now run?",
        {200: _json("Yes.", shapes.Ready), 503: _NOT_READY},
    ),
    ("GET", "/openapi.json"): Operation(
        "showDocument", "documents", "This document", {200: Answer("OpenAPI 3.1.", {JSON: {"type": "object"}})},
    ),
    ("GET", "/docs"): Operation(
        "showDocs", "documents", "This document as a page", {200: Answer("HTML.", {"text/html": {"type": "string"}})},
    ),
    ("GET", "/schema/job.json"): Operation(
        "showJobSchema", "documents", "A job's spec as a JSON schema, for editors",
        {200: Answer("JSON Schema 2020-12.", {"application/schema+json": {"type": "object"}})},
    ),
    ("GET", "/"): _shown("jobsPage", "The jobs, live"),
    ("GET", "/page/jobs/<job_id>"): _shown("jobPage", "One job, live", may_miss=True),
    ("GET", "/page/compare"): _shown("comparePage", "Jobs over one another"),
    ("GET", "/page/new"): _shown("newJobPage", "A form that posts a job"),
    ("GET", "/page/usage"): _shown("usagePage", "What GPU time bought"),
    ("GET", "/page/workers"): _shown("workersPage", "Who works on what, and what waits"),
    ("GET", "/page/sign-in"): Operation(
        "signInPage", "page", "Where a person gives their key", {200: Answer("HTML.", _HTML)},
    ),
    ("POST", "/page/sign-in"): Operation(
        "signIn", "page", "Begin a browser's session",
        {200: _json("It has begun; the cookie stands for the key.", page_shapes.Session)},
        body={JSON: SignInRequest}, example={"key": "fs_…"}, errors=(*_BODY, 401, 403, 507),
    ),
    ("POST", "/page/sign-out"): Operation(
        "signOut", "page", "End a browser's session", {204: Answer("It is over.")}, errors=(403,),
    ),
    ("POST", "/page/codes"): Operation(
        "makeCode", "page", "Make a code that signs a browser in once",
        {201: _json("The only answer that holds it.", page_shapes.SignInCode)}, errors=(507,),
    ),
    ("GET", "/page/rows"): Operation(
        "listRows", "page", "List the jobs as the page shows them",
        {
            200: _json("One page.", shapes.Page[page_shapes.JobRow], headers=("ETag",)),
            304: Answer("It is as the client knows it."),
        },
        query={"limit": _integer(1, 100, 50), **_WANTED}, headers=_KNOWN, errors=(503,),
    ),
    ("GET", "/page/static/<name>"): Operation(
        "showFile", "page", "A script or a style of the page",
        {200: Answer("It.", _FILE, headers=("ETag",)), 304: Answer("The client has it.")},
        headers=_KNOWN, errors=(404,),
    ),
    ("GET", "/page/static/vendor/<name>"): Operation(
        "showVendoredFile", "page", "A file of the page that others wrote",
        {200: Answer("It.", _FILE, headers=("ETag",)), 304: Answer("The client has it.")},
        headers=_KNOWN, errors=(404,),
    ),
}  # fmt: skip

PATH_PARAMETERS: dict[str, Schema] = {
    "dataset_id": _text("The dataset's id, chosen by whoever puts it.", pattern=DATASET_ID_PATTERN),
    "job_id": _text("The job's id.", pattern=r"^job_[0-9A-HJKMNP-TV-Z]{26}$"),
    "name": _text("A name from the list of checkpoints.", minLength=1, maxLength=255, pattern="^[A-Za-z0-9._-]+$"),
    "key_id": _text("The key's id.", pattern="^[A-Za-z0-9_]{1,64}$"),
}
