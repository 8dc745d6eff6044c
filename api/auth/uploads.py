"""What every upload under an id of the client's choice has in common: its request, its id, and who uses it."""

from collections.abc import Callable

from flask import request

from api.auth.projects import reaches
from api.http.problems import HttpProblem
from api.state.service import service
from shared.document import UnusableDocument
from shared.ids import DATASET_ID_PATTERN
from shared.job import JobRecord
from shared.problems import Conflict, Problem, Refused, list_names, pointer
from shared.volume import OpenJob

_MOST_NAMED = 5


def check_request(*, is_id: bool) -> None:
    """Raise Refused for what is no id, and HttpProblem for a body that is not the whole file itself."""
    if not is_id:
        raise Refused([Problem(pointer("id"), f"expected an id that matches {DATASET_ID_PATTERN}", "invalid_id")])
    if request.mimetype == "multipart/form-data":
        raise HttpProblem(415, "form", "send the file itself as the body, not a form: curl -T FILE")
    if "Content-Range" in request.headers:
        # RFC 9110, 14.4: a part must not be taken for the whole.
        detail = "received Content-Range, expected the whole file; /datasets/{id}/uploads/{id} takes a file in parts"
        raise HttpProblem(400, "partial_upload", detail)


def taken_id(upload_id: str) -> Conflict:
    """The refusal of an id that another project has. It says nothing about what that project has."""
    return Conflict(f'the id "{upload_id}" is taken by another project; choose another id')


def check_unused(what: str, is_user: Callable[[JobRecord], bool]) -> None:
    """Raise Conflict where an unfinished job uses `what`."""
    users = [job for job in map(_open_record, service().volume.open_jobs()) if job and is_user(job)]
    if users:
        # A job of an admin's key may be of another project.
        names = list_names([job.id for job in users if reaches(job.project)], _MOST_NAMED) or "jobs of other projects"
        raise Conflict(f"unfinished jobs use the {what}: {names}; cancel them or wait for their end")


def _open_record(marker: OpenJob) -> JobRecord | None:
    """The record of a job that has no result yet; a damaged one never reads what it names."""
    folder = service().volume.job_folder(marker.job_id)
    try:
        return None if folder.result_file.exists() else folder.record()
    except UnusableDocument:
        return None
