"""GET /jobs/{id}: one job, with an ETag, a wait for its next change, and `Retry-After`."""

import time
from hashlib import sha256

from flask import Response, request

from api.auth.projects import find_job
from api.auth.quotas import take_stream
from api.http.answer import as_content
from api.http.operation import IF_NONE_MATCH, NOT_MODIFIED, integer, json_answer, operation
from api.http.problems import HttpProblem
from api.http.query import Query
from api.jobs.find import state_of
from api.jobs.ledger import ledger_report
from api.jobs.report import job_report
from api.shapes.jobs import Job, Resume
from api.state.able_workers import explain_unable
from api.state.changes import mark, wait_for_look
from api.state.histories import histories
from api.state.report_cache import View
from api.state.service import Service, service
from shared.annotations import last_change
from shared.document import UnusableDocument
from shared.fits import Kept
from shared.history import JobHistory
from shared.job import TERMINAL, JobRecord
from shared.job_folder import JobFolder, JobState
from shared.ledger import Ledger
from shared.open_job import OpenJob
from shared.spec import JobSpec, ProgramJobSpec

MOST_WAIT_SECONDS = 60
_RUNNING_SECONDS, _QUEUED_SECONDS = 2, 5
# For a job that no worker has claimed yet.
_EXACT = Resume(exact=True, kind="exact", reasons=[])
_NEW_LEDGER = ledger_report(Ledger(waiting=0, held=(), avoided_epochs=0, avoided=0, median_epoch_seconds=None))


@operation(
    "showJob",
    "jobs",
    "Show a job, or wait for its next change",
    {200: json_answer("The job.", Job, headers=("ETag", "Retry-After")), 304: NOT_MODIFIED},
    query={"wait": integer(0, MOST_WAIT_SECONDS, 0, "Maximum number of seconds to wait for a change.")},
    headers=IF_NONE_MATCH,
    errors=(404,),
)
def show(job_id: str) -> Response:
    """Show one job. With `wait`, answer when the job changes, or after that number of seconds.

    The change is relative to the ETag in If-None-Match, or without one to the current job. If too many requests are
    waiting, the answer comes at once.
    """
    with Query("wait") as query:
        seconds = query.integer("wait", 0, 0, MOST_WAIT_SECONDS)
    current = service()
    view = view_of(current, find_job(job_id))
    if seconds and view.status not in TERMINAL and _is_known(view):
        view = _wait_for_change(current, find_job(job_id), view, seconds)
    return _answer(view)


def job_document(folder: JobFolder) -> Job:
    """The report of a job with its ledger. Raises NotFound if it was deleted in the meantime.

    The ledger ends with the last time in the job's files, so that the ETag stays the same until a file changes.
    """
    current = service()
    report = _report(current, folder, state_of(folder))
    try:
        ledger, history = ledger_report(histories().ledger(folder)), histories().of(folder)
    except UnusableDocument as error:
        # The report may have the same warning already.
        unread = dict.fromkeys([*report.warnings, str(error)])
        return report.model_copy(update={"warnings": list(unread), "ledger": None})
    warnings = [*report.warnings, *history.inexact(), *history.limits()]
    return report.model_copy(update={"warnings": warnings, "ledger": ledger, "resume": _resume(history)})


def _resume(history: JobHistory) -> Resume:
    inexact, limits = history.inexact(), history.limits()
    kinds = {*inexact.values(), *limits.values()}
    kind: Kept = "inexact" if "inexact" in kinds else "epoch" if "epoch" in kinds else "exact"
    return Resume(exact=not inexact, kind=kind, reasons=[*inexact, *limits])


def new_job_document(folder: JobFolder, record: JobRecord) -> Job:
    """`job_document` of a job that was just stored and that no other process knows. Reads no file."""
    state = JobState("queued", record, cancel=None, result=None, attempt=None, claim=None, end=None)
    report = _report(service(), folder, state, is_new=True)
    return report.model_copy(update={"ledger": _NEW_LEDGER, "resume": _EXACT})


def _report(current: Service, folder: JobFolder, state: JobState, *, is_new: bool = False) -> Job:
    places = current.places.of(OpenJob.of(state.record)) if state.status == "queued" else {}
    report = job_report(folder, state, places.get(folder.id), current.settings, is_new=is_new)
    missing = warn_of_workers(current, state.record.spec) if state.status == "queued" else []
    return report.model_copy(update={"warnings": [*report.warnings, *missing]}) if missing else report


def warn_of_workers(current: Service, spec: JobSpec | ProgramJobSpec) -> list[str]:
    """The warning for a job that no live worker can run; empty if one can."""
    # Every worker can run a job without a program and on one device.
    is_special = isinstance(spec, ProgramJobSpec) or spec.devices > 1
    cards = current.volume.worker_cards() if is_special else ()
    unable = explain_unable(spec, cards, current.settings.take_over_seconds)
    return [unable[1]] if unable else []


def view_of(current: Service, folder: JobFolder) -> View:
    """The current view of the job, from the cache if its files have not changed."""
    annotated = last_change(folder.path)
    finished = current.views.finished.find((folder.id, annotated))
    if finished is not None:
        return finished
    now = mark(folder, current.volume.open)
    fresh = current.views.fresh.find((folder.id, now))
    if fresh is not None:
        return fresh
    document = job_document(folder)
    content = as_content(document)
    view = View(content, sha256(content).hexdigest()[:32], document.status)
    if view.status in TERMINAL:
        return current.views.finished.keep((folder.id, annotated), view)
    return current.views.fresh.keep((folder.id, now), view)


def _is_known(view: View) -> bool:
    """Whether the client has the current view: its If-None-Match names the ETag, or it sent none."""
    known = request.if_none_match
    return not known or known.contains_weak(view.etag)


def _wait_for_change(current: Service, folder: JobFolder, view: View, seconds: int) -> View:
    """Wait up to `seconds` for a view of the job that differs. Return it, or else the same view."""
    try:
        release = take_stream()
    except HttpProblem:
        return view
    try:
        until = time.monotonic() + seconds
        seen = None
        while time.monotonic() < until and not current.is_stopping():
            now = mark(folder, current.volume.open)
            if now != seen:
                seen, new = now, view_of(current, folder)
                if new.etag != view.etag:
                    return new
            if not wait_for_look(request.environ):
                break
        return view
    finally:
        release()


def _answer(view: View) -> Response:
    response = Response(view.content, content_type="application/json")
    response.set_etag(view.etag)
    if view.status not in TERMINAL:
        response.headers["Retry-After"] = str(_RUNNING_SECONDS if view.status == "running" else _QUEUED_SECONDS)
    if any(name.startswith("HTTP_IF_") for name in request.environ):
        response.make_conditional(request.environ)
    return response
