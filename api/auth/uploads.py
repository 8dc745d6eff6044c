"""Common parts of uploads with a client-chosen id: request, id, list, users, and removal."""

import logging
from collections.abc import Callable
from itertools import islice
from typing import TypeVar

from flask import request

from api.auth.projects import PROJECT, reaches, read_project
from api.http.operation import integer, text
from api.http.problems import HttpProblem
from api.http.query import Query
from api.state.service import service
from shared.dataset import DatasetInfo
from shared.document import UnusableDocument
from shared.ids import DATASET_ID_PATTERN
from shared.job import JobRecord
from shared.open_job import OpenJob
from shared.problems import Conflict, NotFound, Problem, Refused, list_names, pointer
from shared.program import ProgramInfo
from shared.sweep.folder import SweepFolder, SweepRecord, sweep_folder, sweep_ids
from shared.weights import WeightsInfo

LIST_QUERY = {"limit": integer(1, 100, 20), "after": text("Last id of the previous page."), "project": PROJECT}
_MOST_NAMED = 5

_Upload = DatasetInfo | ProgramInfo | WeightsInfo
_Info = TypeVar("_Info", DatasetInfo, ProgramInfo, WeightsInfo)

log = logging.getLogger(__name__)


def check_request(upload_id: str, is_taken: Callable[[str], bool], *, is_id: bool) -> None:
    """Raise Refused for an invalid id, HttpProblem for a body that is not the whole file, Conflict for a taken id.

    `is_taken(upload_id)` says whether another project has the id.
    """
    if not is_id:
        raise Refused([Problem(pointer("id"), f"expected an id that matches {DATASET_ID_PATTERN}", "invalid_id")])
    if request.mimetype == "multipart/form-data":
        raise HttpProblem(415, "form", "send the file itself as the body, not a form: curl -T FILE")
    if "Content-Range" in request.headers:
        # RFC 9110, 14.4: a part must not be stored as the whole file.
        detail = "received Content-Range, expected the whole file; /datasets/{id}/uploads/{id} takes a file in parts"
        raise HttpProblem(400, "partial_upload", detail)
    if is_taken(upload_id):
        raise taken_id(upload_id)


def taken_id(upload_id: str) -> Conflict:
    """The refusal of an id that another project has. It says nothing about what that project has."""
    return Conflict(f'the id "{upload_id}" is taken by another project; choose another id')


def unfinished_id(upload_id: str) -> Conflict:
    """The refusal of an id with a concurrent upload, through another API of this volume."""
    return Conflict(f'the id "{upload_id}" is being uploaded by another client; try again later, or choose another id')


def read_page(what: str, ids: list[str], find: Callable[[str], _Info | None]) -> tuple[list[_Info], bool]:
    """The uploads of the page that the query (LIST_QUERY) asks for, and whether there are more. `ids` are sorted."""
    with Query("limit", "after", "project") as query:
        limit = query.integer("limit", 20, 1, 100)
        after = query.parse("after", str, "")
        project = read_project(query)
    readable = (read_listed(what, one, find) for one in ids if one > after)
    own = (info for info in readable if info is not None and project in {None, info.project})
    found = list(islice(own, limit + 1))
    return found[:limit], len(found) > limit


def read_listed(what: str, upload_id: str, find: Callable[[str], _Info | None]) -> _Info | None:
    """The facts of an upload; None, with a log line, if its document cannot be read."""
    try:
        return find(upload_id)
    except UnusableDocument as error:
        log.error("the %s %s is left out of the list: %s", what, upload_id, error)
        return None


def remove_unused(
    what: str,
    info: _Upload | None,
    is_user: Callable[[JobRecord], bool],
    remove: Callable[[str], bool],
    missing: str,
) -> tuple[str, int]:
    """Remove an upload that no unfinished job or sweep uses, and answer 204.

    Raises NotFound with the text `missing`, and Conflict.
    """
    if info is None:
        raise NotFound(missing)
    _check_unused(what, is_user)
    _check_no_sweep_uses(what, info.id)
    if not remove(info.id):
        raise NotFound(missing)
    service().usage.forget(info.project)
    return "", 204


def _check_unused(what: str, is_user: Callable[[JobRecord], bool]) -> None:
    users = [job for job in map(_open_record, service().volume.open_jobs()) if job and is_user(job)]
    if users:
        # A job of an admin's key may be of another project.
        names = list_names([job.id for job in users if reaches(job.project)], _MOST_NAMED) or "jobs of other projects"
        raise Conflict(f"unfinished jobs use the {what}: {names}; cancel them or wait until they have finished")


def _check_no_sweep_uses(what: str, upload_id: str) -> None:
    """Raise Conflict if a running sweep uses the upload, even while none of its trials is unfinished."""
    volume = service().volume
    folders = (sweep_folder(volume, sweep_id) for sweep_id in sweep_ids(volume))
    running = (folder for folder in folders if folder.is_running() and not folder.cancel_file.exists())
    records = (record for record in map(_sweep_record, running) if record and f"{what} {upload_id}" in record.uploads)
    users = [record.id if reaches(record.project) else "a sweep of another project" for record in records]
    if users:
        raise Conflict(f"running sweeps use the {what}: {list_names(users, _MOST_NAMED)}; cancel them or wait")


def _sweep_record(folder: SweepFolder) -> SweepRecord | None:
    try:
        return folder.record()
    except UnusableDocument:
        return None


def _open_record(marker: OpenJob) -> JobRecord | None:
    """The record of a job that has no result yet; None for a damaged one, which will use no upload."""
    folder = service().volume.job_folder(marker.job_id)
    try:
        return None if folder.result_file.exists() else folder.record()
    except UnusableDocument:
        return None
