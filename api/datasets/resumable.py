"""PUT, GET, PATCH and DELETE /datasets/{id}/uploads/{id}: uploads that resume after a lost connection.

They follow the draft Resumable Uploads for HTTP (draft-ietf-httpbis-resumable-upload): a client starts an upload, asks
for its offset, and appends from there. Its last request completes the upload. The client chooses the upload's id, so it
can find it after a restart. tus is not used: it has the same requests with other headers, and is not a standard.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from io import FileIO

from flask import Response, request

from api.auth.access import caller
from api.auth.project_quotas import check_bytes
from api.auth.projects import find_dataset, find_upload, is_taken
from api.auth.quotas import count_upload
from api.auth.uploads import check_request
from api.datasets.file_formats import HEAD_BYTES, Format, format_of
from api.datasets.upload import Upload, most_bytes, most_of_all
from api.datasets.upload_options import UploadOptions, read_options
from api.datasets.views import UPLOAD_QUERY, publish, source_name
from api.http.answer import json_response
from api.http.body import check_size
from api.http.operation import BODY_ERRORS, Answer, json_answer, operation, text
from api.http.problems import HttpProblem
from api.http.query import Query, no_query
from api.shapes.service import Dataset, UnfinishedUpload
from api.state import partial_uploads
from api.state.incoming import check_reserve, incoming_folder, receive_pieces
from api.state.partial_uploads import (
    KEPT_SECONDS,
    PartialInfo,
    PartialUpload,
    all_uploads,
    begin_upload,
    remove_expired,
)
from api.state.service import service
from shared.durable import link_file
from shared.ids import is_dataset_id
from shared.plain_files import open_plain
from shared.problems import Conflict, Problem, Refused

_PART_TYPE = "application/partial-upload"
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
_MOST_OF_A_PROJECT = 32
_STATE_HEADERS = ("Upload-Offset", "Upload-Length", "Upload-Complete", "Upload-Limit")
_COMPLETE = text("`?1`: the upload is complete with this request. `?0`: more will follow.", enum=["?0", "?1"])

Answered = tuple[Response | str, int, dict[str, str]]


@operation(
    "beginUpload",
    "datasets",
    "Start a resumable upload",
    {
        200: json_answer("The upload had already started.", UnfinishedUpload, headers=("Location", *_STATE_HEADERS)),
        201: json_answer("The upload has started.", UnfinishedUpload, headers=("Location", *_STATE_HEADERS)),
    },
    query=UPLOAD_QUERY,
    headers={"Upload-Length": {"type": "integer", "minimum": 1, "description": "Length of the file in bytes."}},
    errors=(400, 409, 413, 415, 507),
)
def begin(dataset_id: str, upload_id: str) -> Answered:
    """Start an upload of `Upload-Length` bytes, without a body. Send the bytes with PATCH.

    Repeating the request answers with the offset at which the upload continues. An upload without progress for a day is
    removed. The headers are those of the IETF draft Resumable Uploads for HTTP.
    """
    with Query("name", "missing_values", "column_kinds") as query:
        name = query.parse("name", source_name, None)
        options = read_options(query)
    check_request(dataset_id, is_taken, is_id=is_dataset_id(dataset_id) and is_dataset_id(upload_id))
    length = _read_number("Upload-Length")
    info = PartialInfo(
        dataset_id=dataset_id,
        upload_id=upload_id,
        project=caller().project,
        length=length,
        name=name,
        **asdict(options),
    )
    datasets = service().volume.datasets
    remove_expired(datasets)
    known = partial_uploads.find_upload(datasets, info.project, dataset_id, upload_id)
    if known is None:
        _check_new(info)
    upload = known or begin_upload(datasets, info)
    if upload.info != info:
        raise Conflict("this upload was started with another length, name or options; choose another id, or delete it")
    service().usage.forget(info.project)
    location = f"/datasets/{dataset_id}/uploads/{upload_id}"
    return _report(upload, 200 if known else 201, {"Location": location})


@operation(
    "showUpload",
    "datasets",
    "Show where an upload continues",
    {200: json_answer("The upload.", UnfinishedUpload, headers=_STATE_HEADERS)},
    errors=(404,),
)
def show(dataset_id: str, upload_id: str) -> Answered:
    """Show an unfinished upload; `offset` is the number of bytes that have arrived. HEAD has it in the headers."""
    no_query()
    return _report(find_upload(dataset_id, upload_id))


@operation(
    "appendToUpload",
    "datasets",
    "Continue an upload, or complete it",
    {
        200: json_answer("Complete; the same dataset existed already.", Dataset, headers=("Location",)),
        201: json_answer("Complete; dataset created.", Dataset, headers=("Location",)),
        204: Answer("Stored; the upload is not complete yet.", headers=_STATE_HEADERS),
    },
    headers={
        "Upload-Offset": {"type": "integer", "minimum": 0, "description": "Offset of the body in the file."},
        "Upload-Complete": _COMPLETE,
        "Repr-Digest": text("SHA-256 of the whole file (RFC 9530), with `Upload-Complete: ?1`."),
    },
    body={_PART_TYPE: {"type": "string", "format": "binary"}},
    errors=(*BODY_ERRORS, 404, 409, 507),
)
def append(dataset_id: str, upload_id: str) -> Answered:
    """Append the body at `Upload-Offset`. If that is not the current offset: 409.

    Bytes that arrive before a connection breaks are kept. With `Upload-Complete: ?1` the file is
    compared with `Repr-Digest`, read and published as by PUT /datasets/{id}; the body may be empty. A refused file is
    removed.
    """
    no_query()
    upload = find_upload(dataset_id, upload_id)
    if request.mimetype != _PART_TYPE:
        detail = f"received Content-Type: {request.mimetype or 'none'}, expected {_PART_TYPE}"
        raise HttpProblem(415, "not_a_part", detail)
    offset, is_last = _read_number("Upload-Offset"), _read_complete()
    digest = _read_digest() if is_last else ""
    with count_upload(), upload.open() as file:
        if offset != upload.offset:
            detail = f"received Upload-Offset: {offset}, expected {upload.offset}: continue there"
            raise HttpProblem(409, "wrong_offset", detail, headers={"Upload-Offset": str(upload.offset)})
        _receive(upload, file)
        return _complete(upload, digest) if is_last else ("", 204, _state(upload))


@operation("cancelUpload", "datasets", "Cancel an upload", {204: Answer("Removed.")}, errors=(404, 409))
def cancel(dataset_id: str, upload_id: str) -> tuple[str, int]:
    """Remove an unfinished upload: 204. 409 while a request sends it."""
    no_query()
    upload = find_upload(dataset_id, upload_id)
    with upload.open():
        upload.remove()
    service().usage.forget(upload.info.project)
    return "", 204


def _check_new(info: PartialInfo) -> None:
    """Raise if an upload cannot become a dataset, before its first byte."""
    datasets, settings = service().volume.datasets, service().settings
    check_size(info.length, most_of_all(settings))
    known = find_dataset(info.dataset_id)
    if known is not None and known.bytes != info.length:
        raise Conflict(f'the dataset "{info.dataset_id}" has other data; choose another id')
    if known is None:
        check_bytes(info.length)
    check_reserve(datasets, info.length, settings.volume_reserve_bytes)
    begun = [one.info for one in all_uploads(datasets) if one.info.project == info.project]
    if len(begun) >= _MOST_OF_A_PROJECT:
        first = f"/datasets/{begun[0].dataset_id}/uploads/{begun[0].upload_id}"
        detail = f"the project has {len(begun)} unfinished uploads, the maximum; finish or delete some, such as {first}"
        raise HttpProblem(429, "too_many_unfinished_uploads", detail, retry_after=KEPT_SECONDS)


def _receive(upload: PartialUpload, file: FileIO) -> None:
    """Append the body. Received bytes are kept, unless the file itself is refused."""
    left = upload.info.length - upload.offset
    is_known = False
    for piece in receive_pieces(upload.folder, left, service().settings.volume_reserve_bytes):
        view = memoryview(piece)
        while view:
            view = view[file.write(view) or 0 :]
        if not is_known and upload.offset >= HEAD_BYTES:
            _find_format(upload)
            is_known = True


def _complete(upload: PartialUpload, sha256: str) -> Answered:
    """Publish an upload that the caller has locked."""
    info, size = upload.info, upload.offset
    if size != info.length:
        detail = f"{size} of {info.length} bytes have arrived; send the rest before Upload-Complete: ?1"
        raise HttpProblem(409, "incomplete_upload", detail, headers={"Upload-Offset": str(size)})
    found = _find_format(upload)
    with _remove_if_refused(upload), incoming_folder(upload.folder.parent) as folder:
        own = _hash(upload)
        if own != sha256:
            detail = f"the file that arrived has the SHA-256 {own}, expected {sha256}; send it again"
            raise Refused([Problem("#", detail, "digest_mismatch")])
        link_file(upload.data, folder / "upload")
        options = UploadOptions(info.missing_values, info.column_kinds)
        answer = publish(Upload(folder, found, size, own), info.dataset_id, info.name, options)
    upload.remove()
    service().usage.forget(info.project)
    return answer


def _find_format(upload: PartialUpload) -> Format:
    """The format of the file by its first bytes. The upload is removed if the file cannot become a dataset."""
    with _remove_if_refused(upload), open_plain(upload.data) as file:
        found = format_of(file.read(HEAD_BYTES))
        check_size(upload.info.length, most_bytes(found, service().settings))
        return found


@contextmanager
def _remove_if_refused(upload: PartialUpload) -> Iterator[None]:
    """Remove the upload if the block refuses its file: the same file would be refused again."""
    try:
        yield
    except (Refused, Conflict):
        upload.remove()
        raise
    except HttpProblem as problem:
        if problem.status in {413, 415}:
            upload.remove()
        raise


def _hash(upload: PartialUpload) -> str:
    with open_plain(upload.data) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _report(upload: PartialUpload, status: int = 200, more: dict[str, str] | None = None) -> Answered:
    info = upload.info
    shown = UnfinishedUpload(
        object="upload",
        id=info.upload_id,
        dataset_id=info.dataset_id,
        length=info.length,
        offset=upload.offset,
        kept_seconds=KEPT_SECONDS,
    )
    return json_response(shown), status, {**_state(upload), **(more or {})}


def _state(upload: PartialUpload) -> dict[str, str]:
    return {
        "Upload-Offset": str(upload.offset),
        "Upload-Length": str(upload.info.length),
        "Upload-Complete": "?0",
        "Upload-Limit": f"max-age={KEPT_SECONDS}",
        "Cache-Control": "no-store",
    }


def _read_number(header: str) -> int:
    value = request.headers.get(header, "")
    if not re.fullmatch(r"\d{1,15}", value, re.ASCII):
        raise HttpProblem(400, "invalid_header", f"expected {header} with a number of bytes")
    return int(value)


def _read_complete() -> bool:
    value = request.headers.get("Upload-Complete", "")
    if value not in {"?0", "?1"}:
        raise HttpProblem(400, "invalid_header", "expected Upload-Complete: ?0, or ?1 with the last part")
    return value == "?1"


def _read_digest() -> str:
    """The SHA-256 that the whole file must have, in hexadecimal."""
    found = _DIGEST.search(request.headers.get("Repr-Digest", ""))
    if found is None:
        detail = "expected Repr-Digest: sha-256=:BASE64: of the whole file (RFC 9530)"
        raise HttpProblem(400, "invalid_header", detail)
    return base64.b64decode(found[1]).hex()
