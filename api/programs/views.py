"""PUT, GET and DELETE /programs/{id}, GET /programs: the scripts that a job with `program` runs."""

import json
import re

from flask import Response, request

from api.auth.access import caller
from api.auth.project_quotas import check_bytes
from api.auth.projects import find_program, is_program_id_taken
from api.auth.quotas import count_upload
from api.auth.uploads import LIST_QUERY, check_request, read_page, remove_unused, taken_id, unfinished_id
from api.http.answer import json_response
from api.http.operation import BODY_ERRORS, Answer, json_answer, operation, text
from api.http.query import Query, no_query
from api.programs.upload import DEFAULT_SCRIPT, ProgramUpload, receive
from api.shapes.base import Page, take_fields
from api.shapes.service import Program, ProgramSummary
from api.state.service import service
from shared.durable import create_file, encode, sync_file
from shared.ids import VERSION_PATTERN, is_program_id, is_program_version
from shared.problems import Conflict, NotFound
from shared.program import ARCHIVE, DOCUMENT, LatestVersion, ProgramInfo
from shared.spec import ProgramJobSpec
from shared.times import utc_now

_FILE = {"type": "string", "format": "binary"}
_LINKS = {name: (name, {"program_id": "$response.body#/id"}) for name in ("showProgram", "deleteProgram")}
_MISSING = "there is no program with this id, or no such version of it"
_SCRIPT_PATTERN = r"^[A-Za-z0-9_-]{1,100}\.py$"
_MOST_VERSIONS_SHOWN = 100


@operation(
    "putProgram",
    "programs",
    "Upload a program",
    {
        200: json_answer("Known version; it is now the latest.", Program, headers=("Location",), links=_LINKS),
        201: json_answer("Version created.", Program, headers=("Location",), links=_LINKS),
    },
    query={"name": text(f"Name of a single script; default: {DEFAULT_SCRIPT}.", pattern=_SCRIPT_PATTERN)},
    body={
        "text/x-python": {"type": "string", "minLength": 1},
        "application/zip": _FILE,
        "application/x-tar": _FILE,
        "application/gzip": _FILE,
    },
    example="import keras\n\nprint(keras.__version__)\n",
    errors=(*BODY_ERRORS, 409, 503, 507),
)
def put(program_id: str) -> tuple[Response, int, dict[str, str]]:
    """Store a `.py` file, or a zip, tar or tar.gz of a folder, as a version of a program, and make it the latest: 201.

    The id of the version is a hash of the files' paths and contents. The same files again: 200. No file is run.
    """
    with Query("name") as query:
        name = query.parse("name", _script_name, None)
    check_request(program_id, is_program_id_taken, is_id=is_program_id(program_id))
    current = service()
    check_bytes(request.content_length or 0)
    with count_upload(), receive(current.volume.datasets, current.settings, name) as upload:
        check_bytes(upload.bytes)
        info, is_new = _store(upload, program_id)
    if is_new:
        current.usage.forget(info.project)
    return json_response(_report(info)), 201 if is_new else 200, {"Location": f"/programs/{program_id}"}


@operation(
    "listPrograms",
    "programs",
    "List the programs",
    {200: json_answer("One page.", Page[ProgramSummary])},
    query=LIST_QUERY,
)
def show_all() -> Response:
    """List the programs by their ids, each with its latest version; `after` is the last id of the previous page."""
    store = service().volume.programs
    found, has_more = read_page("program", store.ids(), store.find)
    items = [take_fields(ProgramSummary, info, object="program_summary", file_count=len(info.files)) for info in found]
    return json_response(Page[ProgramSummary](object="list", data=items, has_more=has_more))


@operation(
    "showProgram",
    "programs",
    "Show a version of a program",
    {200: json_answer("The version.", Program)},
    query={"version": text("Version to show; default: the latest.", pattern=VERSION_PATTERN)},
    errors=(404,),
)
def show(program_id: str) -> Response:
    """Show the files of a version of a program, and the ids of all its versions."""
    with Query("version") as query:
        version = query.parse("version", _version, None)
    info = find_program(program_id, version)
    if info is None:
        raise NotFound(_MISSING)
    return json_response(_report(info))


@operation(
    "deleteProgram",
    "programs",
    "Delete a program that no unfinished job and no running sweep uses",
    {204: Answer("Deleted.")},
    errors=(404, 409),
)
def delete(program_id: str) -> tuple[str, int]:
    """Delete all versions of a program that no unfinished job and no running sweep uses: 204.

    Finished jobs keep their files and models.
    """
    no_query()
    return remove_unused(
        "program",
        find_program(program_id),
        lambda job: isinstance(job.spec, ProgramJobSpec) and job.spec.program.id == program_id,
        service().volume.remove_program,
        _MISSING,
    )


def _store(upload: ProgramUpload, program_id: str) -> tuple[ProgramInfo, bool]:
    """Store the upload as the latest version. Return the version, and whether this upload created it."""
    store, moment = service().volume.programs, utc_now()
    known = store.latest(program_id)
    version = upload.facts["version"]
    project, created_at = (known.project, known.created_at) if known else (caller().project, moment)
    latest = LatestVersion(id=program_id, project=project, created_at=created_at, version=version, updated_at=moment)
    info = ProgramInfo.model_validate_json(
        json.dumps({**upload.facts, "id": program_id, "project": project, "created_at": moment})
    )
    create_file(upload.version_folder / DOCUMENT, encode(info.model_dump(mode="json")))
    sync_file(upload.version_folder / ARCHIVE)
    store.make_folder()
    if known is None and store.create(upload.version_folder, latest):
        return info, True
    if is_program_id_taken(program_id):
        raise taken_id(program_id)
    if known is None and store.latest(program_id) is None:
        raise unfinished_id(program_id)
    return _add(upload, latest)


def _add(upload: ProgramUpload, latest: LatestVersion) -> tuple[ProgramInfo, bool]:
    store = service().volume.programs
    try:
        is_new = store.add_version(upload.version_folder, latest.id, latest.version)
        store.set_latest(latest)
        stored = store.find(latest.id, latest.version)
    except FileNotFoundError:
        stored = None
    if stored is None:
        raise Conflict(f'the program "{latest.id}" was deleted during the upload; send it again')
    return stored, is_new


def _script_name(text: str) -> str:
    if re.fullmatch(_SCRIPT_PATTERN[1:-1], text) is None:
        raise ValueError("a file name such as train.py, of letters, digits, underscores and hyphens")
    return text


def _version(text: str) -> str:
    if not is_program_version(text):
        raise ValueError("64 hexadecimal digits")
    return text


def _report(info: ProgramInfo) -> Program:
    versions = service().volume.programs.versions(info.id)
    return take_fields(
        Program,
        info,
        object="program",
        file_count=len(info.files),
        files=list(info.files),
        warnings=list(info.warnings),
        default_entry=info.default_entry,
        has_requirements=info.has_requirements,
        versions=versions[:_MOST_VERSIONS_SHOWN],
        version_count=len(versions),
    )
