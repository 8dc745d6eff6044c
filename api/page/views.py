"""The pages. Each is a template that its script fills with data from the API."""

from typing import Any

from flask import Response, g, render_template

from api.auth.access import caller
from api.auth.projects import find_job, find_sweep
from api.http.operation import Answer, operation
from api.state.service import service
from shared.ids import is_job_id
from shared.problems import NotFound

# A page may only run and show this service's own files, and call its API. uPlot sets styles by CSSOM, which this
# policy allows.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

_HTML = Answer("HTML.", {"text/html": {"type": "string"}})
# Without a session a page redirects to the log-in page.
_SHOWN = {200: _HTML, 303: Answer("Not logged in.", headers=("Location",))}


@operation("jobsPage", "page", "Page of all jobs, live", _SHOWN)
def jobs() -> Response:
    """Page of all jobs, live. Filters in the query: status, name, metadata.NAME."""
    return _for_caller("jobs.html", "jobs")


@operation("jobPage", "page", "Page of one job, live", _SHOWN, errors=(404,))
def job(job_id: str) -> Response:
    """Page of one job, live."""
    find_job(job_id)
    return _for_caller("job.html", "jobs", job_id=job_id)


@operation("sharedPage", "page", "Page of one job, for people who have a link to it", {200: _HTML}, errors=(404,))
def shared(job_id: str) -> Response:
    """Page of one job for people without a key. It is empty without the token after the # of its address."""
    if not is_job_id(job_id):
        raise NotFound("there is no job with this id")
    return _page("job.html", place="shared", scope="shared", job_id=job_id)


@operation("comparePage", "page", "Page that compares jobs", _SHOWN)
def compare() -> Response:
    """Page that compares jobs. The query repeats `job` for each."""
    return _for_caller("compare.html", "compare")


@operation("newJobPage", "page", "Page with the form for a new job", _SHOWN)
def new() -> Response:
    """Form for a new job; `like` is a job whose spec it starts from."""
    return _for_caller("new.html", "new")


@operation("datasetsPage", "page", "Page of the datasets", _SHOWN)
def datasets() -> Response:
    """Page of the datasets, with their profiles and the jobs that use them."""
    return _for_caller("datasets.html", "datasets")


@operation("keysPage", "page", "Page of the API keys", _SHOWN)
def keys() -> Response:
    """Page of the API keys, for a key of scope admin."""
    return _for_caller("keys.html", "keys")


@operation("usagePage", "page", "Page of the usage", _SHOWN)
def usage() -> Response:
    """Page of the compute time of past jobs."""
    return _for_caller("usage.html", "usage")


@operation("workersPage", "page", "Page of the workers and the queue", _SHOWN)
def workers() -> Response:
    """Page of the workers and the queue."""
    return _for_caller("workers.html", "workers")


@operation("webhooksPage", "page", "Page of the webhooks", _SHOWN)
def webhooks() -> Response:
    """Page of the webhooks and their last deliveries."""
    return _for_caller("webhooks.html", "webhooks")


@operation("sweepsPage", "page", "Page of all sweeps, live", _SHOWN)
def sweeps() -> Response:
    """Page of all sweeps, live."""
    return _for_caller("sweeps.html", "sweeps")


@operation("newSweepPage", "page", "Page with the form for a new sweep", _SHOWN)
def new_sweep() -> Response:
    """Form for a new sweep; `job` is the job whose spec it starts from."""
    return _for_caller("new_sweep.html", "sweeps")


@operation("sweepPage", "page", "Page of one sweep, live", _SHOWN, errors=(404,))
def sweep(sweep_id: str) -> Response:
    """Page of one sweep, live: its best trial, charts of its parameters, and all trials."""
    find_sweep(sweep_id)
    return _for_caller("sweep.html", "sweeps", sweep_id=sweep_id)


@operation("signInPage", "page", "Page to log in", {200: _HTML})
def show_sign_in() -> Response:
    """Page to log in; `next` is the address to open afterwards."""
    return _page("sign_in.html", place="sign-in", scope="none")


def problem_page(problem: dict[str, Any]) -> Response:
    """Page of a problem document, with a link back; without a session, with a link to log in."""
    shown = {name: str(problem[name]) for name in ("title", "detail", "status", "request_id")}
    if "caller" in g:
        return _for_caller("problem.html", "problem", **shown)
    return _page("problem.html", place="sign-in", scope="none", **shown)


def _for_caller(template: str, place: str, **values: str) -> Response:
    key = service().keys.of_id(caller().key_id)
    return _page(
        template,
        place=place,
        scope=caller().scope,
        project=caller().project,
        key_name=key.name if key else "",
        **values,
    )


def _page(template: str, **values: str) -> Response:
    response = Response(render_template(template, **values), content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cache-Control"] = "no-store"
    return response
