"""POST, GET and DELETE /sweeps, GET /sweeps/{id} and its trials, POST /sweeps/{id}/cancel."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from typing import Any

from flask import Response, request
from pydantic import ValidationError

from api.auth.access import caller
from api.auth.project_quotas import check_job
from api.auth.projects import PROJECT, find_sweep, read_project
from api.auth.quotas import costly_read
from api.http.answer import as_content, json_response
from api.http.operation import (
    BODY_ERRORS,
    IF_NONE_MATCH,
    JSON,
    NOT_MODIFIED,
    Answer,
    integer,
    json_answer,
    operation,
    text,
)
from api.http.query import Query, no_query
from api.http.strict_json import read_object
from api.jobs.end import cancel_job
from api.jobs.once import HEADER, ONCE, PostKey
from api.jobs.post import make_job_record
from api.shapes.base import Page
from api.shapes.sweeps import SWEEP_ID_PATTERN, Sweep, SweepDryRun, SweepSummary, Trial
from api.state.job_projects import project_of
from api.state.service import service
from api.sweeps.report import dry_run_report, status_of, summary_report, sweep_report, trial_report
from shared.document import UnusableDocument
from shared.ids import is_sweep_id, new_job_id, new_sweep_id
from shared.problems import Conflict, NotFound
from shared.sweep.check import Checked, check
from shared.sweep.folder import SweepFolder, SweepRecord, sweep_folder, sweep_ids
from shared.sweep.spec import SweepSpec
from shared.times import utc_now

_MOST_TRIALS = 1000
_MOST_DIGITS = 9
# The JSON of a Keras model inside the job, in which each layer has many values.
_MODEL = ("job", "model", "config")
_EXAMPLE: dict[str, Any] = {
    "job": {"dataset": {"id": "wine-quality", "target": "quality", "positive": {"at_least": 6}}},
    "space": {"/hyperparameters/optimizer/learning_rate": {"log": [0.0001, 0.1]}},
    "trials": 20,
}
_LINKS = {
    name: (name, {"sweep_id": "$response.body#/id"})
    for name in ("showSweep", "listTrials", "explainSweep", "cancelSweep", "extendSweep", "replaySweep", "deleteSweep")
}

log = logging.getLogger(__name__)


@operation(
    "postSweep",
    "sweeps",
    "Post a sweep, or check its spec",
    {
        200: json_answer("Result of the dry run.", SweepDryRun),
        202: json_answer("The sweep is stored.", Sweep, headers=("Location",), links=_LINKS),
    },
    query={"dry_run": {"type": "boolean", "default": False, "description": "Whether to only check the spec."}},
    headers=ONCE,
    body={JSON: SweepSpec},
    example=_EXAMPLE,
    errors=(*BODY_ERRORS, 404, 409, 503, 507),
)
def submit() -> tuple[Response, int, dict[str, str]]:
    """Store a new sweep. Workers propose its trials, each of which is a job, until it ends.

    Each choice and both ends of each range are checked like the spec of a posted job. With `dry_run=true` the spec is
    checked, nothing is stored, and the answer is 200.
    """
    with Query("dry_run") as query:
        is_dry = query.flag("dry_run")
    settings = service().settings
    document = read_object(settings.max_job_bytes, settings.max_json_depth, _MODEL)
    post = None if is_dry else PostKey.of_request({"sweep": document})
    chosen = post.find_id() if post else None
    if chosen is not None and (existing := _find_posted(chosen)):
        return _answer_post(existing)
    with costly_read():
        checked = check(document, lambda job: make_job_record(job, new_job_id()))
    if is_dry:
        return json_response(dry_run_report(checked)), 200, {}
    check_job(checked.record)
    own = chosen or new_sweep_id()
    return _answer_post(_store(post.choose(own) if post else own, checked))


@operation(
    "listSweeps",
    "sweeps",
    "List the sweeps, newest first",
    {200: json_answer("One page.", Page[SweepSummary])},
    query={
        "limit": integer(1, 100, 20),
        "after": text("Last id of the previous page.", pattern=SWEEP_ID_PATTERN),
        "project": PROJECT,
    },
)
def show_all() -> Response:
    """List the sweeps, newest first; `after` is the last id of the previous page."""
    with Query("limit", "after", "project") as query:
        limit = query.integer("limit", 20, 1, 100)
        after = query.parse("after", _cursor, "")
        project = read_project(query)
    found = list(islice(_sweeps_after(after, project), limit + 1))
    return json_response(Page[SweepSummary](object="list", data=found[:limit], has_more=len(found) > limit))


@operation(
    "showSweep",
    "sweeps",
    "Show a sweep",
    {200: json_answer("The sweep.", Sweep, headers=("ETag",)), 304: NOT_MODIFIED},
    headers=IF_NONE_MATCH,
    errors=(404,),
)
def show(sweep_id: str) -> Response:
    """Show one sweep: its best trial, the counts of its trials, and what it spent."""
    no_query()
    content = as_content(sweep_report(service().sweeps.of(find_sweep(sweep_id).id)))
    response = Response(content, content_type="application/json")
    response.set_etag(sha256(content).hexdigest()[:32])
    response.make_conditional(request)
    return response


@operation(
    "listTrials",
    "sweeps",
    "List the trials of a sweep",
    {200: json_answer("One page.", Page[Trial])},
    query={
        "limit": integer(1, _MOST_TRIALS, 100),
        "after": integer(0, 10**9, 0, "Last number of the previous page."),
        "number": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "description": "Only the trial of this number. May be repeated.",
        },
    },
    errors=(404,),
)
def show_trials(sweep_id: str) -> Response:
    """List the trials of a sweep by their numbers. A finished trial does not change."""
    with Query("limit", "after", "number") as query:
        numbers = set(query.parse_all("number", _number))
        limit = query.integer("limit", 100, 1, _MOST_TRIALS)
        after = query.integer("after", 0, 0, 10**9)
    state = service().sweeps.of(find_sweep(sweep_id).id)
    trials = [one for one in state.trials if one.number > after and (not numbers or one.number in numbers)]
    items = [trial_report(one, state.mode) for one in trials[:limit]]
    return json_response(Page[Trial](object="list", data=items, has_more=len(trials) > limit))


@operation(
    "cancelSweep",
    "sweeps",
    "Cancel a sweep and its unfinished trials",
    {200: json_answer("The sweep, cancelled or with the cancellation requested.", Sweep)},
    errors=(404, 409, 507),
)
def cancel(sweep_id: str) -> Response:
    """Cancel a sweep: its unfinished trials are cancelled, and no more trials are proposed.

    A running trial saves its state first. Repeating it changes nothing.
    """
    no_query()
    folder = find_sweep(sweep_id)
    state = service().sweeps.of(folder.id)
    if state.end is not None and state.end.reason != "cancelled":
        raise Conflict(f"the sweep has {status_of(state)} already and cannot be cancelled")
    if state.end is None:
        folder.request_cancel()
        for trial in state.unfinished:
            job = service().volume.job(trial.job)
            if job is not None:
                cancel_job(job)
    return json_response(sweep_report(service().sweeps.of(folder.id)))


@operation("deleteSweep", "sweeps", "Delete a finished sweep", {204: Answer("Deleted.")}, errors=(404, 409))
def delete(sweep_id: str) -> tuple[str, int]:
    """Delete a finished sweep: 204. The jobs of its trials stay, with their models."""
    no_query()
    folder = find_sweep(sweep_id)
    if service().sweeps.of(folder.id).end is None:
        raise Conflict("the sweep is running; cancel it first, and delete it when it has finished")
    if not service().volume.remove_sweep(folder.id):
        raise NotFound("there is no sweep with this id")
    return "", 204


def _find_posted(sweep_id: str) -> SweepFolder | None:
    """The sweep of an earlier post with the same key; None if that post was killed before it stored the sweep."""
    volume = service().volume
    folder = sweep_folder(volume, sweep_id)
    if folder.record_file.exists():
        return folder
    if volume.was_deleted(sweep_id):
        raise Conflict(f"the sweep of this {HEADER} was deleted; use a new one to post it again")
    return None


def _sweeps_after(after: str, project: str | None) -> Iterator[SweepSummary]:
    """The sweeps after an id, newest first. One that cannot be read is logged and left out."""
    for sweep_id in sweep_ids(service().volume):
        if after and sweep_id >= after:
            continue
        folder = sweep_folder(service().volume, sweep_id)
        if project not in {None, project_of(folder.record_file)}:
            continue
        try:
            yield _summary(sweep_id)
        except (NotFound, UnusableDocument) as error:
            log.error("the sweep %s is left out of the list: %s", sweep_id, error)


def _summary(sweep_id: str) -> SweepSummary:
    """The summary of a sweep. If it has ended, the stored summary is used, unless this version cannot read it."""
    kept = service().sweeps.summary(sweep_id)
    if kept is not None:
        with suppress(ValidationError):
            return SweepSummary.model_validate_json(kept)
    state = service().sweeps.of(sweep_id)
    made = summary_report(state)
    service().sweeps.keep_summary(state, made.model_dump_json())
    return made


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise ValueError("the number of a trial")
    return int(text)


def _cursor(text: str) -> str:
    if not is_sweep_id(text):
        raise ValueError("a sweep's id")
    return text


def _store(sweep_id: str, checked: Checked) -> SweepFolder:
    record = SweepRecord(
        id=sweep_id,
        created_at=utc_now(),
        spec=checked.spec,
        data_sha256=checked.data_sha256,
        uploads=checked.uploads,
        key_id=caller().key_id,
        project=caller().project,
    )
    folder = sweep_folder(service().volume, sweep_id)
    folder.store(record)
    return folder


def _answer_post(folder: SweepFolder) -> tuple[Response, int, dict[str, str]]:
    return json_response(sweep_report(service().sweeps.of(folder.id)), 202), 202, {"Location": f"/sweeps/{folder.id}"}
