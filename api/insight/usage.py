"""The ledger as a client sees it: `ledger` of a job, and GET /usage over all jobs that are over."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from api.state.histories import histories
from api.state.index_file import Wanted
from api.state.service import service
from shared.document import UnusableDocument
from shared.job import TERMINAL
from shared.job_folder import JobFolder
from shared.ledger import Held, Ledger
from shared.problems import NotFound
from shared.times import utc_now

_DEFAULT_DAYS = 30
_FIRST_DAY = date(2000, 1, 1)
_LAST_DAY = date(9998, 12, 31)
_DAY = {"type": "string", "format": "date", "examples": [utc_now()[:10]]}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Over:
    """A job that is over: the little of it that is summed, so that many are kept."""

    finished_at: str
    dataset: str
    key_id: str | None
    project: str
    ledger: Ledger


# What the time of a job's attempts is summed by: for each attempt its group. The whole job is its last attempt's.
_GROUPS: dict[str, Callable[[_Over, Held | None], str]] = {
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
    """Sum the ledgers of the jobs that ended from `from` to `to` (days, UTC), in groups.

    `now` is what the jobs that run at this moment cost per hour.
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


def _jobs_over(first: date, last: date, project: str | None) -> Iterator[_Over]:
    """The jobs of a project that ended in these days; a damaged one is logged and left out."""
    days = first.isoformat(), (last + timedelta(days=1)).isoformat()
    wanted = Wanted(project=project, statuses=TERMINAL, finished_after=days[0], finished_before=days[1])
    for job_id in candidate_ids(wanted):
        folder = service().volume.job_folder(job_id)
        try:
            job = _over(folder)
        except (UnusableDocument, NotFound) as error:
            log.error("%s is left out of the usage: %s", job_id, error)
            continue
        if job and days[0] <= job.finished_at < days[1] and project in {None, job.project}:
            yield job


def _over(folder: JobFolder) -> _Over | None:
    """A job that is over, read once: it never changes. None for any other one."""
    if not folder.result_file.exists():
        return None
    known: _Over | None = histories().finished.find(folder.id)
    if known is None and (result := folder.result()) and (record := folder.record()):
        ledger = histories().ledger(folder)
        known = _Over(result.finished_at, record.spec.source_id, record.key_id, record.project, ledger)
        histories().finished.keep(folder.id, known)
    return known


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
