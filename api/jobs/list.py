"""GET /jobs: pages of jobs, filtered by status, sweep, name, time, metadata and tags, in any order."""

import logging
import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from typing import get_args

from flask import Response

from api.auth.projects import PROJECT, reaches_job, read_project
from api.http.answer import json_response
from api.http.operation import Schema, integer, json_answer, operation, text
from api.http.problems import HttpProblem
from api.http.query import Query
from api.jobs.order import SORT, next_cursor, parse_cursor, parse_order
from api.jobs.report import job_report, without_config
from api.shapes.jobs import Job, JobPage, SetAside
from api.state.index import IndexNotReady
from api.state.index_file import NO_SWEEP, OPEN, Found, Key, Order, Wanted
from api.state.service import service
from shared.annotations import MOST_TAG_CHARACTERS, read_annotations
from shared.document import UnusableDocument
from shared.ids import is_sweep_id
from shared.job import JobRecord, JobStatus
from shared.job_folder import JobFolder, JobState
from shared.open_job import OpenJob
from shared.times import format_time, parse_time, utc_now

_METADATA = "metadata."
_MOMENT = {"type": "string", "format": "date-time", "examples": [utc_now()]}
_STATUSES = get_args(JobStatus)
_MOST_SEARCH = 128
_NONE = "none"
# The parameters that `wanted_of` reads.
WANTED: dict[str, Schema] = {
    "after": text("Last id of the previous page, or its `next`. With `sort` only its `next`."),
    "sort": SORT,
    "project": PROJECT,
    "status": {"type": "array", "items": {"type": "string", "enum": [*_STATUSES]}, "description": "May be repeated."},
    "sweep": text("Only trials of the sweep with this id; `none`: only jobs that are not trials."),
    "name": text("Exact name of the jobs."),
    "search": text("Part of the displayed name, ignoring case.", minLength=1, maxLength=_MOST_SEARCH),
    "tag": {"type": "array", "items": {"type": "string"}, "description": "Only jobs with this tag. May be repeated."},
    "created_after": {**_MOMENT, "description": "Only jobs posted after this time."},
    "created_before": {**_MOMENT, "description": "Only jobs posted before this time."},
    f"{_METADATA}NAME": text("Only jobs whose metadata has this value under NAME."),
}
*PARAMETERS, FAMILY = WANTED

# Maximum number of jobs that a list names as unreadable, with the reason.
_MOST_SET_ASIDE = 100
# Maximum number of job folders that are read for one page without an index.
MOST_FOLDERS = 300

_Read = tuple[JobFolder, JobState, Found]
# The jobs that cannot be read, by their ids.
_SetAside = dict[str, UnusableDocument]

log = logging.getLogger(__name__)


@operation(
    "listJobs",
    "jobs",
    "List the jobs",
    {200: json_answer("One page.", JobPage)},
    query={"limit": integer(1, 100, 20), **WANTED},
    errors=(503,),
)
def show_all() -> Response:
    """List the jobs, newest first unless `sort` says otherwise; `after` is `next` of the previous page.

    Jobs whose documents cannot be read are listed in `set_aside`, with the reason. The `config` of a Keras model is
    empty in a list: `GET /jobs/{id}` has it.
    """
    with Query("limit", *PARAMETERS, family=FAMILY) as query:
        limit = query.integer("limit", 20, 1, 100)
        wanted = wanted_of(query)
    aside: _SetAside = {}
    found = _page(wanted, limit + 1, aside)
    if not wanted.after:
        _add_damaged(aside)
    items = list(_reports(found[:limit], aside))
    following = next_cursor(wanted.order, [place for _, _, place in found], limit)
    return json_response(
        JobPage(
            object="list",
            data=items,
            has_more=following is not None,
            next=following,
            set_aside=_set_aside_report(aside),
        )
    )


def _reports(found: list[_Read], aside: _SetAside) -> Iterator[Job]:
    waiting = [OpenJob.of(state.record) for _, state, _ in found if state.status == "queued"]
    places = service().places.of(*waiting) if waiting else {}
    for folder, state, _ in found:
        try:
            yield without_config(job_report(folder, state, places.get(folder.id), service().settings))
        except UnusableDocument as error:
            aside[folder.id] = error


def wanted_of(query: Query) -> Wanted:
    """The filters and the order that a query asks for."""
    order = query.parse("sort", parse_order, Order())
    start: tuple[str, Key] = ("", None)
    after, key = query.parse("after", partial(parse_cursor, order), start)
    return Wanted(
        after=after,
        after_key=key,
        order=order,
        project=read_project(query),
        statuses=query.choices("status", frozenset(_STATUSES)),
        sweep=query.parse("sweep", _sweep, None),
        name=query.parse("name", str, None),
        search=query.parse("search", _search, None),
        created_after=query.parse("created_after", _moment, None),
        created_before=query.parse("created_before", _moment, None),
        metadata=query.family(_METADATA),
        tags=tuple(query.parse_all("tag", _tag)),
    )


def candidates(wanted: Wanted, *, is_list: bool = False) -> Iterator[Found]:
    """All jobs that match, in order, and some that do not: the caller must check each.

    Raises HttpProblem 503 while the index is being built: for an order that only the index has, and if `is_list` after
    MOST_FOLDERS jobs.
    """
    after = wanted.after
    try:
        for found in service().index.ids(wanted):
            after = found.id
            yield found
    except IndexNotReady:
        _refuse_without_index(wanted)
        for count, job_id in enumerate(_ids_after(after)):
            if is_list and count == MOST_FOLDERS:
                raise _index_not_ready("without filters") from None
            yield Found(job_id, OPEN, job_id)


def candidate_ids(wanted: Wanted) -> Iterator[str]:
    """The ids of `candidates`."""
    return (found.id for found in candidates(wanted))


def _page(wanted: Wanted, most: int, aside: _SetAside) -> list[_Read]:
    try:
        return list(islice(_from_index(wanted, aside), most))
    except IndexNotReady:
        _refuse_without_index(wanted)
        return list(islice(_from_folders(wanted, aside), most))


def _refuse_without_index(wanted: Wanted) -> None:
    if not wanted.order.is_newest_first:
        raise _index_not_ready("without sort")


def _index_not_ready(otherwise: str) -> HttpProblem:
    detail = f"the index of the jobs is being built on this host; try again in a moment, or {otherwise}"
    return HttpProblem(503, "index_building", detail, retry_after=2)


def _add_damaged(aside: _SetAside) -> None:
    """Add the jobs that the index could not read and therefore never lists."""
    try:
        damaged = filter(reaches_job, service().index.damaged())
    except IndexNotReady:
        return
    for job_id in islice(damaged, _MOST_SET_ASIDE):
        _read(service().volume.job_folder(job_id), aside)


def _set_aside_report(aside: _SetAside) -> list[SetAside]:
    newest = sorted(aside, reverse=True)[:_MOST_SET_ASIDE]
    return [SetAside(id=job_id, code=aside[job_id].code, message=str(aside[job_id])) for job_id in newest]


def _from_index(wanted: Wanted, aside: _SetAside) -> Iterator[_Read]:
    index = service().index
    for found in index.ids(wanted):
        folder = service().volume.job_folder(found.id)
        if found.status == OPEN and is_unwanted_queued(folder, wanted.statuses):
            continue
        state = _read(folder, aside)
        if state is None:
            if not folder.spec_file.exists():
                index.forget(found.id)
        elif not wanted.statuses or state.status in wanted.statuses:
            yield folder, state, found


def is_unwanted_queued(folder: JobFolder, statuses: frozenset[str]) -> bool:
    """Whether an open job is queued, but no queued ones are wanted. Reads no file, since the queue may be long."""
    return (
        "queued" not in statuses
        and bool(statuses)
        and not (folder.result_file.exists() or folder.attempts_folder.exists())
    )


def _from_folders(wanted: Wanted, aside: _SetAside) -> Iterator[_Read]:
    """The wanted jobs from their folders, while the index is being built. Raises HttpProblem 503 after MOST_FOLDERS."""
    for count, job_id in enumerate(_ids_after(wanted.after)):
        if count == MOST_FOLDERS:
            raise _index_not_ready("without filters")
        folder = service().volume.job_folder(job_id)
        state = _read(folder, aside)
        if state is not None and is_wanted(state.record, state.status, wanted) and has_tags(folder, wanted):
            yield folder, state, Found(job_id, OPEN, job_id)


def _ids_after(after: str) -> Iterator[str]:
    return (job_id for job_id in service().index.names() if not after or job_id < after)


def has_tags(folder: JobFolder, wanted: Wanted) -> bool:
    """Whether a job has the wanted tags. Reads nothing if there are none."""
    try:
        return not wanted.tags or set(wanted.tags) <= set(read_annotations(folder)[1].tags)
    except UnusableDocument:
        return False


def is_wanted(record: JobRecord, status: str, wanted: Wanted) -> bool:
    """Whether a job matches the filters, apart from those by tag."""
    return (
        wanted.project in {None, record.project}
        and (not wanted.statuses or status in wanted.statuses)
        and wanted.sweep in {None, record.sweep.id if record.sweep else NO_SWEEP}
        and wanted.name in {None, record.spec.name}
        and (wanted.search is None or _holds(record.spec.name or record.spec.source_id, wanted.search))
        and _is_within(record, wanted)
        and set(wanted.metadata) <= set(record.spec.metadata.items())
    )


def _holds(name: str, part: str) -> bool:
    """Whether the name contains the part. Like LIKE in SQLite, ignores the case of ASCII letters only."""
    return re.search(re.escape(part), name, re.IGNORECASE | re.ASCII) is not None


def _is_within(record: JobRecord, wanted: Wanted) -> bool:
    return (wanted.created_after or "") < record.created_at < (wanted.created_before or "~")


def _read(folder: JobFolder, aside: _SetAside) -> JobState | None:
    """A job's state; None if it was deleted or cannot be read. If the caller reaches it, the latter goes to `aside`."""
    try:
        return folder.state()
    except UnusableDocument as error:
        if reaches_job(folder.id):
            aside[folder.id] = error
        return None


def _tag(text: str) -> str:
    if not 1 <= len(text) <= MOST_TAG_CHARACTERS:
        raise ValueError(f"a tag of 1 to {MOST_TAG_CHARACTERS} characters")
    return text


def _sweep(text: str) -> str:
    if text != _NONE and not is_sweep_id(text):
        raise ValueError("a sweep's id, or none for jobs that are no trial")
    return NO_SWEEP if text == _NONE else text


def _search(text: str) -> str:
    if not 1 <= len(text) <= _MOST_SEARCH:
        raise ValueError(f"1 to {_MOST_SEARCH} characters")
    return text


def _moment(text: str) -> str:
    try:
        moment: datetime = parse_time(text)
        return format_time(moment)
    except (ValueError, OverflowError):
        raise ValueError("a time with its zone, such as 2026-11-23T19:12:00Z") from None
