"""GET /jobs/{id}/system: the system metrics of a job's attempts, and what slows the training down."""

from dataclasses import asdict

from flask import Response

from api.auth.projects import find_job
from api.http.answer import json_response
from api.http.operation import integer, json_answer, operation, text
from api.http.query import Query
from api.jobs.event_stream import CURSOR_PATTERN, parse_cursor
from api.shapes.jobs import Sample as Sampled
from api.shapes.system import SystemAttempt, SystemFinding, SystemMetrics, SystemSample
from api.state.histories import histories
from shared.document import UnusableDocument
from shared.events import Cursor
from shared.job_folder import JobFolder
from shared.system_finding import Finding, find
from shared.system_metrics import merge_all_to, read_system_metrics_of, rounded

_MOST_ATTEMPTS = 50
# Maximum number of attempts to read until one has trained long enough for a finding.
_MOST_SEARCHED = 5
_POINTS, _MOST_POINTS = 600, 4000


@operation(
    "getSystemMetrics",
    "progress",
    "Show what a job used of its machine",
    {200: json_answer("The metrics.", SystemMetrics)},
    query={
        "after": text("Cursor after the last sample that the client has.", pattern=CURSOR_PATTERN),
        "points": integer(3, _MOST_POINTS, _POINTS, "Maximum number of samples; neighbours are merged."),
    },
    errors=(404,),
)
def show(job_id: str) -> Response:
    """Show processor, memory, disk and GPU of the job's attempts, oldest first, and what kept the training waiting.

    The worker takes a sample each second. The last minutes of a long attempt are kept by the second, earlier ones as
    longer samples. A value that the machine does not report is null. `finding` is null in the first 10 s of training.
    `attempts` lists the machines of the attempts from the one of `after` on.
    """
    with Query("after", "points") as query:
        after = query.parse("after", parse_cursor, Cursor())
        points = query.integer("points", _POINTS, 3, _MOST_POINTS)
    return json_response(_report(find_job(job_id), after, points))


def finding_of(job: JobFolder) -> Finding | None:
    """The finding on what slows the job's training down; None if it is unknown."""
    try:
        attempts = job.attempts()[: -_MOST_SEARCHED - 1 : -1]
        plan = job.plan()
        return find(read_system_metrics_of(attempts), histories().of(job).attempts, plan.engine if plan else None)
    except UnusableDocument:
        return None


def _report(job: JobFolder, after: Cursor, points: int) -> SystemMetrics:
    attempts = [one for one in job.attempts() if one.number >= after.attempt]
    metrics = list(read_system_metrics_of(attempts[-_MOST_ATTEMPTS:]))
    new = [[sample for sample in one.samples if Cursor(one.attempt, _place(sample.at)) > after] for one in metrics]
    count, merged = sum(map(len, new)), merge_all_to(new, points)
    shown = [
        SystemSample(attempt=one.attempt, **rounded(sample))
        for one, samples in zip(metrics, merged, strict=True)
        for sample in samples
    ][-points:]
    finding = finding_of(job)
    return SystemMetrics(
        object="system_metrics",
        job=job.id,
        attempts=[SystemAttempt(attempt=one.attempt, **one.machine.model_dump(include=_FACTS)) for one in metrics],
        data=shown,
        sampled=Sampled(of=count, shown=len(shown)) if len(shown) < count else None,
        next=str(Cursor(shown[-1].attempt, _place(shown[-1].at)) if shown else after),
        finding=SystemFinding(**asdict(finding)) if finding else None,
    )


_FACTS = {"cores", "memory_bytes", "gpu", "gpu_memory_bytes"}


def _place(at: float) -> int:
    """The position of a sample, in milliseconds since the claim."""
    return round(at * 1000)
