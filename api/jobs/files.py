"""The files of a job: its CSV log, its checkpoints, its best model."""

import os
from base64 import b64encode
from typing import BinaryIO

from flask import Response, request
from werkzeug.wsgi import wrap_file

from api.auth.projects import find_job
from api.http.answer import json_response
from api.http.byte_range import with_plain_range
from api.http.operation import IF_NONE_MATCH, NOT_MODIFIED, Answer, json_answer, operation, text
from api.http.problems import HttpProblem
from api.http.query import no_query
from api.jobs.report import checkpoint_report, kept_checkpoints
from api.shapes.base import Page
from api.shapes.jobs import Checkpoint as ShownCheckpoint
from shared.job_folder import AttemptFolder
from shared.manifest import Checkpoint, Manifest
from shared.plain_files import MOST_FILE_BYTES, open_plain, read_plain
from shared.problems import NotFound

_BYTES = {"application/octet-stream": {"type": "string", "format": "binary"}}
_HEADERS = ("Content-Disposition", "ETag", "Repr-Digest", "Accept-Ranges")
_FILE = {
    200: Answer("The file.", {**_BYTES}, headers=_HEADERS),
    206: Answer("Part of the file.", {**_BYTES}, headers=(*_HEADERS, "Content-Range")),
    304: NOT_MODIFIED,
}
_RANGE = {**IF_NONE_MATCH, "Range": text("Range of bytes."), "If-Range": text("ETag of the ranged file.")}


@operation(
    "getTrainingLog",
    "files",
    "Download training_log.csv; its epochs count from 0",
    {200: Answer("Lines of the file.", {"text/csv": {"type": "string"}}, headers=("Content-Disposition",))},
    errors=(404,),
)
def training_log(job_id: str) -> Response:
    """Download `training_log.csv` of the newest attempt that has one. Its epochs count from 0."""
    no_query()
    logs = (read_plain(attempt.training_log, MOST_FILE_BYTES) for attempt in reversed(find_job(job_id).runs()))
    content = next((log for log in logs if log), None)
    if content is None:
        raise NotFound("there is no training log yet: no epoch has ended")
    response = Response(whole_rows(content), content_type="text/csv; charset=utf-8")
    response.headers.set("Content-Disposition", "attachment", filename=f"{job_id}-training_log.csv")
    response.headers["Cache-Control"] = "no-store"
    return response


def whole_rows(log: bytes) -> bytes:
    """A training log without a last row that is still being written."""
    return log[: log.rfind(b"\n") + 1]


@operation(
    "listCheckpoints",
    "files",
    "List the checkpoints of a job",
    {200: json_answer("The complete list.", Page[ShownCheckpoint])},
    errors=(404,),
)
def checkpoints(job_id: str) -> Response:
    """List the checkpoints in the order in which they were saved."""
    no_query()
    kept = kept_checkpoints(find_job(job_id).runs())
    manifest = kept[1] if kept else Manifest()
    items = [checkpoint_report(job_id, checkpoint, manifest) for checkpoint in manifest.checkpoints]
    return json_response(Page[ShownCheckpoint](object="list", data=items, has_more=False))


@operation("getCheckpoint", "files", "Download a checkpoint", _FILE, headers=_RANGE, errors=(404, 416))
def checkpoint(job_id: str, name: str) -> Response:
    """Download one checkpoint of the list."""
    no_query()
    kept = kept_checkpoints(find_job(job_id).runs())
    found = kept[1].find(name) if kept else None
    if kept is None or found is None:
        raise NotFound("there is no checkpoint with this name")
    return _send(kept[0], found)


@operation("getModel", "files", "Download the best model", _FILE, headers=_RANGE, errors=(404, 416))
def model(job_id: str) -> Response:
    """Download the best checkpoint."""
    no_query()
    kept = kept_checkpoints(find_job(job_id).runs())
    best = kept[1].find(kept[1].best) if kept and kept[1].best else None
    if kept is None or best is None:
        raise NotFound("there is no model yet: no checkpoint has been saved")
    return _send(kept[0], best)


def _send(attempt: AttemptFolder, checkpoint: Checkpoint) -> Response:
    """Send the whole file or one range of it. Its ETag is its SHA-256, so a resumed download has the same bytes."""
    file = open_checkpoint(attempt, checkpoint)
    try:
        response = Response(wrap_file(request.environ, file), direct_passthrough=True)
        response.content_type = "application/octet-stream"
        response.content_length = checkpoint.bytes
        response.set_etag(checkpoint.sha256)
        response.headers.set("Content-Disposition", "attachment", filename=checkpoint.name)
        response.headers["Repr-Digest"] = repr_digest(checkpoint.sha256)
        response.headers["Cache-Control"] = "no-cache"
        environ = with_plain_range(request.environ, checkpoint.bytes, checkpoint.sha256)
        response.make_conditional(environ, accept_ranges=True, complete_length=checkpoint.bytes)
    except BaseException:
        file.close()
        raise
    return response


def repr_digest(sha256: str) -> str:
    """The header `Repr-Digest` (RFC 9530) of a whole body with this SHA-256, which is given in hexadecimal."""
    return f"sha-256=:{b64encode(bytes.fromhex(sha256)).decode()}:"


def open_checkpoint(attempt: AttemptFolder, checkpoint: Checkpoint) -> BinaryIO:
    """Open the checkpoint's file. Raises NotFound if it was removed, HttpProblem 500 if its size is wrong."""
    try:
        file = open_plain(attempt.checkpoints / checkpoint.name)
    except FileNotFoundError:
        # Retention may have removed it since the manifest was read.
        raise NotFound("this checkpoint no longer exists") from None
    if os.fstat(file.fileno()).st_size != checkpoint.bytes:
        file.close()
        raise HttpProblem(500, "damaged_checkpoint", "the checkpoint's file is not as long as its manifest says")
    return file
