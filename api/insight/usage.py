"""GET /usage: the summed ledgers of all finished jobs, also of deleted ones, in groups."""

import logging
from collections.abc import Callable, Iterator
from datetime import date, timedelta

from flask import Response

from api.auth.projects import PROJECT, read_project
from api.auth.quotas import costly_read
from api.http.answer import json_response
from api.http.operation import json_answer, operation
from api.http.query import Query
from api.insight.spend import spend_now
from api.jobs.ledger import LedgerSum
from api.jobs.list import candidate_ids
from api.shapes import insight as shapes
from api.state.index_file import Wanted
from api.state.past_jobs import PastJob, past_job
from api.state.service import service
from shared.document import UnusableDocument
from shared.job import TERMINAL
from shared.ledger import Held
from shared.problems import NotFound
from shared.times import utc_now

_DEFAULT_DAYS = 30
_FIRST_DAY = date(2000, 1, 1)
_LAST_DAY = date(9998, 12, 31)
_DAY = {"type": "string", "format": "date", "examples": [utc_now()[:10]]}

log = logging.getLogger(__name__)


# The group of each attempt of a job. The job itself counts in the group of its last attempt.
_GROUPS: dict[str, Callable[[PastJob, Held | None], str]] = {
    "day": lambda job, _: job.finished_at[:10],
    "dataset": lambda job, _: job.dataset,
    "key": lambda job, _: job.key_id or "(unknown)",
    "project": lambda job, _: job.project,
    "worker": lambda _, held: held.host if held else "(none)",
}


@operation(
    "showUsage",
    "insight",
    "Sum the compute time of past jobs",
    {200: json_answer("The sums.", shapes.Usage)},
    query={
        "by": {"type": "string", "enum": [*_GROUPS], "default": "day", "description": "Grouping of the sums."},
        "from": {**_DAY, "description": "First day (UTC) on which jobs ended. Default: 29 days before `to`."},
        "to": {**_DAY, "description": "Last day (UTC). Default: today."},
        "project": PROJECT,
    },
)
def show() -> Response:
    """Sum the ledgers of the jobs that ended from `from` to `to` (days, UTC), also of deleted ones, in groups.

    `now` is the cost per hour of the jobs that run now.
    """
    today = date.fromisoformat(utc_now()[:10])
    with Query("by", "from", "to", "project") as query:
        by = query.parse("by", _group, "day")
        last = query.parse("to", _day, today)
        first = query.parse("from", _day, max(_FIRST_DAY, last - timedelta(days=_DEFAULT_DAYS - 1)))
        project = read_project(query)
    with costly_read():
        return json_response(_usage(by, first, last, project))


def _usage(by: str, first: date, last: date, project: str | None) -> shapes.Usage:
    groups: dict[str, LedgerSum] = {}
    total = LedgerSum()
    for job in _jobs_over(first, last, project):
        held = job.ledger.held
        for each in (groups.setdefault(_GROUPS[by](job, held[-1] if held else None), LedgerSum()), total):
            each.add_job(job.ledger)
        for one in held:
            groups.setdefault(_GROUPS[by](job, one), LedgerSum()).add_held(one)
            total.add_held(one)
    rows = [{by: group, "jobs": one.jobs, **one.sums()} for group, one in sorted(groups.items())]
    return shapes.Usage.model_validate(
        {
            "object": "usage",
            "by": by,
            "from": first.isoformat(),
            "to": last.isoformat(),
            "data": rows,
            "total": {"jobs": total.jobs, **total.sums()},
            "now": spend_now(project),
        }
    )


def _jobs_over(first: date, last: date, project: str | None) -> Iterator[PastJob]:
    """The jobs of a project that ended on these days, also those that were deleted later."""
    found = {job.id: job for job in service().deleted_jobs.ended(first.isoformat(), last.isoformat())}
    found |= {job.id: job for job in _jobs_on_volume(first, last, project)}
    return (job for job in found.values() if project in {None, job.project})


def _jobs_on_volume(first: date, last: date, project: str | None) -> Iterator[PastJob]:
    """The jobs that still exist. A damaged one is logged and left out."""
    days = first.isoformat(), (last + timedelta(days=1)).isoformat()
    wanted = Wanted(project=project, statuses=TERMINAL, finished_after=days[0], finished_before=days[1])
    for job_id in candidate_ids(wanted):
        try:
            job = past_job(service().volume.job_folder(job_id))
        except (UnusableDocument, NotFound) as error:
            log.error("%s is left out of the usage: %s", job_id, error)
            continue
        if job and days[0] <= job.finished_at < days[1]:
            yield job


def _group(text: str) -> str:
    if text not in _GROUPS:
        raise ValueError(f"one of {', '.join(_GROUPS)}")
    return text


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or len(text) != 10 or not _FIRST_DAY <= day <= _LAST_DAY:
        raise ValueError("a day such as 2026-11-23")
    return day
