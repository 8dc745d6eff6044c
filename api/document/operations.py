"""The OpenAPI description of each route: query, body, answers and errors.

`api.document.openapi` builds the document from it. A test walks the route table so that no route is missing.
"""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from api import shapes
from api.auth.keys import KeyRequest
from api.datasets.upload_options import UPLOAD_PARAMETERS
from api.jobs.extend import ExtendRequest
from api.jobs.settings import ReplaySettings
from api.page import shapes as page_shapes
from api.page.sign_in import SignInRequest
from shared.ids import DATASET_ID_PATTERN
from shared.spec import JobSpec
from shared.times import utc_now

Schema = dict[str, Any]

JSON, PROBLEM, STREAM = "application/json", "application/problem+json", "text/event-stream"
BYTES = "application/octet-stream"

ERRORS = {
    400: "The request cannot be read.",
    401: "API key missing, unknown, expired or revoked.",
    403: "The scope of the API key does not allow this.",
    404: "Not found.",
    405: "Method not allowed; `Allow` lists the allowed methods.",
    408: "The body was sent too slowly.",
    409: "Conflict with the current state of the resource.",
    413: "The body is too large.",
    415: "Unsupported media type of the body.",
    416: "Range outside the file.",
    422: "Invalid request; `errors` lists every problem.",
    429: "Limit of the API key reached; `Retry-After` says when to try again.",
    500: "Internal error; the log has it under the request's id.",
    503: "Service unavailable; try again later.",
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


_AFTER_JOB = _text("Last id of the previous page.", pattern=r"^job_[0-9A-HJKMNP-TV-Z]{26}$")
_MOMENT = {"type": "string", "format": "date-time", "examples": [utc_now()]}
_DAY = {"type": "string", "format": "date", "examples": [utc_now()[:10]]}
_STATUSES = ["queued", "running", "succeeded", "failed", "cancelled"]
_WANTED: dict[str, Schema] = {
    "after": _AFTER_JOB,
    "status": {"type": "array", "items": {"type": "string", "enum": _STATUSES}, "description": "May be repeated."},
    "name": _text("Name of the jobs."),
    "created_after": {**_MOMENT, "description": "Only jobs posted after this time."},
    "created_before": {**_MOMENT, "description": "Only jobs posted before this time."},
    "metadata.NAME": _text("Only jobs whose metadata has this value under NAME."),
}
_KNOWN = {"If-None-Match": _text("ETag of the client's copy.")}
_RANGE = {**_KNOWN, "Range": _text("Range of bytes."), "If-Range": _text("ETag of the ranged file.")}
_ONCE = {
    "Idempotency-Key": _text("Key that makes repeated requests create one job.", pattern="^[!#-+\\--\\[\\]-~]{1,255}$")
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
        206: Answer("Part of the file.", {**schema}, headers=(*_FILE_HEADERS, "Content-Range")),
        304: Answer("Not modified."),
    }


_HTML: dict[str, type[BaseModel] | Schema] = {"text/html": {"type": "string"}}
_FILE: dict[str, type[BaseModel] | Schema] = {
    kind: {"type": "string"} for kind in ("text/javascript", "text/css", "image/svg+xml")
}


def _shown(name: str, says: str, *, may_miss: bool = False) -> Operation:
    """A page. Without a session it redirects to the sign-in page."""
    html = Answer("HTML.", _HTML)
    answers = {200: html, 303: Answer("Not logged in.", headers=("Location",)), **({404: html} if may_miss else {})}
    return Operation(name, "page", says, answers)


_NOT_READY = Answer("Not ready; the checks say why.", {JSON: shapes.Ready, PROBLEM: shapes.ProblemDocument})

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/datasets"): Operation(
        "listDatasets", "datasets", "List the datasets",
        {200: _json("One page.", shapes.Page[shapes.Dataset])},
        query={"limit": _integer(1, 100, 20), "after": _text("Last id of the previous page.")},
    ),
    ("PUT", "/datasets/<dataset_id>"): Operation(
        "putDataset", "datasets", "Upload a dataset",
        {
            200: _json("Dataset unchanged.", shapes.Dataset, headers=("Location",), links=_DATASET_LINKS),
            201: _json("Dataset created.", shapes.Dataset, headers=("Location",), links=_DATASET_LINKS),
        },
        query={"name": _text("Original file name.", minLength=1, maxLength=256), **UPLOAD_PARAMETERS},
        body={
            "text/csv": {"type": "string", "minLength": 1},
            "application/vnd.apache.parquet": {"type": "string", "format": "binary"},
        },
        example="kind,size,label\nred,1.5,0\nblue,2.5,1\nred,3.5,1\nblue,0.5,0\n",
        errors=(*_BODY, 409, 503, 507),
    ),
    ("GET", "/datasets/<dataset_id>"): Operation(
        "showDataset", "datasets", "Show a dataset and its profile",
        {200: _json("The dataset.", shapes.Dataset)}, errors=(404,),
    ),
    ("DELETE", "/datasets/<dataset_id>"): Operation(
        "deleteDataset", "datasets", "Delete a dataset that no unfinished job uses",
        {204: Answer("Deleted.")}, errors=(404, 409),
    ),
    ("POST", "/jobs"): Operation(
        "postJob", "jobs", "Post a job, or check its spec",
        {
            200: _json("Result of the dry run.", shapes.DryRun),
            202: _json("The job is stored and queued.", shapes.Job, headers=("Location",), links=_JOB_LINKS),
        },
        query={"dry_run": {"type": "boolean", "default": False, "description": "Whether to only check the spec."}},
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
            200: _json("The job.", shapes.Job, headers=("ETag", "Retry-After")),
            304: Answer("Not modified."),
        },
        query={"wait": _integer(0, 60, 0, "Maximum number of seconds to wait for a change.")},
        headers=_KNOWN, errors=(404,),
    ),
    ("DELETE", "/jobs/<job_id>"): Operation(
        "deleteJob", "jobs", "Delete a finished job",
        {204: Answer("Deleted.")}, errors=(404, 409),
    ),
    ("POST", "/jobs/<job_id>/cancel"): Operation(
        "cancelJob", "jobs", "Cancel a job",
        {200: _json("The job, cancelled or with the cancellation requested.", shapes.Job)}, errors=(404, 409, 507),
    ),
    ("POST", "/jobs/<job_id>/retry"): Operation(
        "retryJob", "jobs", "Retry a failed or cancelled job",
        {202: _json("The new job is stored and queued.", shapes.Job, headers=("Location",), links=_JOB_LINKS)},
        headers=_ONCE, errors=(400, 404, 409, 507),
    ),
    ("POST", "/jobs/<job_id>/extend"): Operation(
        "extendJob", "jobs", "Extend a finished job as a new job with other settings",
        {202: _json("The new job is stored and queued.", shapes.Job, headers=("Location",), links=_JOB_LINKS)},
        headers=_ONCE, body={JSON: ExtendRequest}, example={"early_stopping": {"patience": 20}},
        errors=(*_BODY, 404, 409, 507),
    ),
    ("GET", "/jobs/<job_id>/events"): Operation(
        "listEvents", "progress", "List or stream the events of a job",
        {200: Answer("One page, or the event stream.", {JSON: shapes.EventPage, STREAM: {"type": "string"}})},
        query={
            "after": _text("Id of the last event that the client has.", pattern="^[0-9]{1,9}:[0-9]{1,18}$"),
            "limit": _integer(1, 1000, 200),
        },
        headers={"Last-Event-ID": _text("Same as `after`, with precedence.", pattern="^[0-9]{1,9}:[0-9]{1,18}$")},
        errors=(404, 503),
    ),
    ("GET", "/jobs/<job_id>/epochs"): Operation(
        "listEpochs", "progress", "List the epochs of a job",
        {200: _json("One page, or a sample.", shapes.EpochPage)},
        query={
            "after": _integer(0, 2**53, 0, "Last epoch that the client has."),
            "limit": _integer(1, 10_000, 1000),
            "points": _integer(3, 10_000, None, "Maximum number of epochs, evenly sampled."),
        },
        errors=(404,),
    ),
    ("GET", "/jobs/<job_id>/training_log.csv"): Operation(
        "getTrainingLog", "files", "Download training_log.csv; its epochs count from 0",
        {200: Answer("Lines of the file.", {"text/csv": {"type": "string"}}, headers=("Content-Disposition",))},
        errors=(404,),
    ),
    ("GET", "/jobs/<job_id>/checkpoints"): Operation(
        "listCheckpoints", "files", "List the checkpoints of a job",
        {200: _json("The complete list.", shapes.Page[shapes.Checkpoint])}, errors=(404,),
    ),
    ("GET", "/jobs/<job_id>/checkpoints/<name>"): Operation(
        "getCheckpoint", "files", "Download a checkpoint", _file("The file."), headers=_RANGE, errors=(404, 416),
    ),
    ("GET", "/jobs/<job_id>/model"): Operation(
        "getModel", "files", "Download the best model", _file("The file."), headers=_RANGE, errors=(404, 416),
    ),
    ("GET", "/jobs/<job_id>/bundle.zip"): Operation(
        "getBundle", "files", "Download the bundle: model, preprocessing and predict.py",
        {
            200: Answer("The archive.", {"application/zip": {"type": "string", "format": "binary"}},
                        headers=("Content-Disposition", "ETag", "Repr-Digest")),
            304: Answer("Not modified."),
        },
        headers=_KNOWN, errors=(404,),
    ),
    ("GET", "/jobs/<job_id>/explain"): Operation(
        "explainJob", "insight", "Explain why a job waits, runs or stopped",
        {200: _json("The explanation.", shapes.Explanation)}, errors=(404,),
    ),
    ("GET", "/jobs/<job_id>/forecast"): Operation(
        "forecastJob", "insight", "Forecast the epoch at which a running job stops",
        {200: _json("The forecast, or why there is none.", shapes.Forecast)}, errors=(404,),
    ),
    ("POST", "/jobs/<job_id>/replay"): Operation(
        "replayJob", "insight", "Replay early stopping with other settings",
        {200: _json("Result of the replay; nothing is stored.", shapes.Replay)},
        body={JSON: ReplaySettings}, example={"patience": 5}, errors=(*_BODY, 404, 409),
    ),
    ("GET", "/replay/patience"): Operation(
        "comparePatience", "insight", "Compare values of patience on past jobs",
        {200: _json("Table for each monitor.", shapes.PatienceTables)},
        query={
            "jobs": _text("Ids of up to 200 jobs, separated by commas. Default: the newest 60 that succeeded."),
            "most": _integer(1, 1000, 30, "Largest patience in the table."),
            "tolerance": {
                "type": "number", "minimum": 0, "default": 0, "description": "Maximum deterioration of the metric.",
            },
        },
        errors=(404,),
    ),
    ("GET", "/usage"): Operation(
        "showUsage", "insight", "Sum the compute time of past jobs",
        {200: _json("The sums.", shapes.Usage)},
        query={
            "by": {
                "type": "string", "enum": ["day", "dataset", "key", "worker"], "default": "day",
                "description": "Grouping of the sums.",
            },
            "from": {**_DAY, "description": "First day (UTC) on which jobs ended. Default: 29 days before `to`."},
            "to": {**_DAY, "description": "Last day (UTC). Default: today."},
        },
    ),
    ("GET", "/queue"): Operation(
        "listQueue", "service", "List the queued jobs, and why they wait",
        {200: _json("The queue, next job first.", shapes.Page[shapes.QueuedJob])},
        query={"limit": _integer(1, 1000, 100), "after": _AFTER_JOB},
    ),
    ("GET", "/workers"): Operation(
        "listWorkers", "service", "List the workers", {200: _json("The complete list.", shapes.Page[shapes.Worker])},
    ),
    ("GET", "/limits"): Operation(
        "showLimits", "service", "Show the limits", {200: _json("The limits.", shapes.Limits)},
    ),
    ("GET", "/metrics"): Operation(
        "showMetrics", "service", "Show metrics for Prometheus",
        {200: Answer("Metrics in Prometheus's text format.", {"text/plain": {"type": "string"}})},
    ),
    ("GET", "/keys"): Operation(
        "listKeys", "keys", "List the API keys", {200: _json("The complete list.", shapes.Page[shapes.ListedKey])},
    ),
    ("POST", "/keys"): Operation(
        "createKey", "keys", "Create an API key",
        {201: _json("The only answer with the secret.", shapes.NewKey,
                    links={"revokeKey": ("revokeKey", {"key_id": "$response.body#/id"})})},
        body={JSON: KeyRequest}, example={"name": "ci", "scope": "write", "expires_in_days": 90}, errors=(*_BODY, 507),
    ),
    ("POST", "/keys/<key_id>/revoke"): Operation(
        "revokeKey", "keys", "Revoke an API key",
        {200: _json("The revoked key.", shapes.Key)}, errors=(404, 409, 507),
    ),
    ("GET", "/healthz"): Operation(
        "alive", "service", "Check that the process is alive", {200: _json("Alive.", shapes.Alive)},
    ),
    ("GET", "/readyz"): Operation(
        "ready", "service", "Check whether a job posted now would run",
        {200: _json("Ready.", shapes.Ready), 503: _NOT_READY},
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
    ("GET", "/"): _shown("jobsPage", "Page of all jobs, live"),
    ("GET", "/page/jobs/<job_id>"): _shown("jobPage", "Page of one job, live", may_miss=True),
    ("GET", "/page/compare"): _shown("comparePage", "Page that compares jobs"),
    ("GET", "/page/new"): _shown("newJobPage", "Page with the form for a new job"),
    ("GET", "/page/usage"): _shown("usagePage", "Page of the usage"),
    ("GET", "/page/workers"): _shown("workersPage", "Page of the workers and the queue"),
    ("GET", "/page/sign-in"): Operation(
        "signInPage", "page", "Page to log in", {200: Answer("HTML.", _HTML)},
    ),
    ("POST", "/page/sign-in"): Operation(
        "signIn", "page", "Start a browser session",
        {200: _json("Session started. The cookie replaces the key.", page_shapes.Session)},
        body={JSON: SignInRequest}, example={"key": "fs_…"}, errors=(*_BODY, 401, 403, 507),
    ),
    ("POST", "/page/sign-out"): Operation(
        "signOut", "page", "End a browser session", {204: Answer("Session ended.")}, errors=(403,),
    ),
    ("POST", "/page/codes"): Operation(
        "makeCode", "page", "Create a one-time login code",
        {201: _json("The only answer with the secret.", page_shapes.SignInCode)}, errors=(403, 507),
    ),
    ("GET", "/page/rows"): Operation(
        "listRows", "page", "List the jobs as the page shows them",
        {
            200: _json("One page.", shapes.Page[page_shapes.JobRow], headers=("ETag",)),
            304: Answer("Not modified."),
        },
        query={"limit": _integer(1, 100, 50), **_WANTED}, headers=_KNOWN, errors=(503,),
    ),
    ("GET", "/page/static/<name>"): Operation(
        "showFile", "page", "Script or stylesheet of the page",
        {200: Answer("The file.", _FILE, headers=("ETag",)), 304: Answer("Not modified.")},
        headers=_KNOWN, errors=(404,),
    ),
    ("GET", "/page/static/vendor/<name>"): Operation(
        "showVendoredFile", "page", "Third-party file of the page",
        {200: Answer("The file.", _FILE, headers=("ETag",)), 304: Answer("Not modified.")},
        headers=_KNOWN, errors=(404,),
    ),
}  # fmt: skip

PATH_PARAMETERS: dict[str, Schema] = {
    "dataset_id": _text("Id of the dataset, chosen at the upload.", pattern=DATASET_ID_PATTERN),
    "job_id": _text("Id of the job.", pattern=r"^job_[0-9A-HJKMNP-TV-Z]{26}$"),
    "name": _text("Name from the list of checkpoints.", minLength=1, maxLength=255, pattern="^[A-Za-z0-9._-]+$"),
    "key_id": _text("Id of the API key.", pattern="^[A-Za-z0-9_]{1,64}$"),
}
