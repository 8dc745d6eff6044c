"""GET /jobs/{id}/events, as JSON pages or as a stream, and GET /jobs/{id}/epochs.

Events are read from `events.jsonl` after a cursor; nothing of them is kept between two requests, so a stream resumes on
any API host and after any restart. Epochs come from the histories, which read only what is new in the file.
"""

import time
from collections.abc import Iterator
from itertools import islice

from flask import Response, request
from pydantic_core import to_json

from api.auth.projects import find_job
from api.auth.quotas import take_stream
from api.http.answer import json_response
from api.http.operation import JSON, STREAM, Answer, integer, json_answer, operation, text
from api.http.query import Query
from api.jobs.report import epoch_report, event_report
from api.shapes.jobs import EpochPage, EventPage, Sample
from api.state.changes import LOOK_SECONDS
from api.state.histories import histories
from api.state.service import Service, service
from shared.events import Cursor, PlacedEvent, job_events
from shared.job_folder import JobFolder
from shared.problems import Problem, Refused, pointer

_CURSOR = "^[0-9]{1,9}:[0-9]{1,18}$"
_KEEP_ALIVE_SECONDS = 15.0
# A stream ends after this and its client resumes it.
_STREAM_SECONDS = 600.0
_MOST_OFFSET = 2**63 - 1


@operation(
    "listEvents",
    "progress",
    "List or stream the events of a job",
    {200: Answer("One page, or the event stream.", {JSON: EventPage, STREAM: {"type": "string"}})},
    query={"after": text("Id of the last event that the client has.", pattern=_CURSOR), "limit": integer(1, 1000, 200)},
    headers={"Last-Event-ID": text("Same as `after`, with precedence.", pattern=_CURSOR)},
    errors=(404, 429, 503),
)
def show(job_id: str) -> Response:
    """List or stream the events of a job after a cursor."""
    with Query("after", "limit") as query:
        after = query.parse("after", _cursor, Cursor())
        limit = query.integer("limit", 200, 1, 1000)
    job = find_job(job_id)
    if request.accept_mimetypes.best_match(["application/json", STREAM]) == STREAM:
        return _stream(job, _last_event_id() or after)
    found = list(islice(job_events(job, after), limit + 1))
    shown = found[:limit]
    last = str(shown[-1].after if shown else after)
    events = [event_report(placed) for placed in shown]
    return json_response(EventPage(object="list", data=events, has_more=len(found) > limit, next=last))


@operation(
    "listEpochs",
    "progress",
    "List the epochs of a job",
    {200: json_answer("One page, or a sample.", EpochPage)},
    query={
        "after": integer(0, 2**53, 0, "Last epoch that the client has."),
        "limit": integer(1, 10_000, 1000),
        "points": integer(3, 10_000, None, "Maximum number of epochs, evenly sampled."),
    },
    errors=(404,),
)
def show_epochs(job_id: str) -> Response:
    """List the epochs after `after`. If an epoch was trained twice, its later row counts.

    `points` is the maximum number of rows, evenly sampled. `sampled` in the answer gives the total.
    """
    with Query("after", "limit", "points") as query:
        after = query.integer("after", 0, 0, _MOST_OFFSET)
        limit = query.integer("limit", 1000, 1, 10_000)
        points = query.integer("points", 0, 3, 10_000)
    history = histories().of(find_job(job_id))
    epochs, places = history.newest_rows(after)
    is_sampled = 0 < points < len(epochs)
    if is_sampled:
        best = history.row(int(places[-1])).best_epoch
        shown = places[_sample(epochs.tolist(), best, points)]
    else:
        shown = places[: None if points else limit]
    rows = [epoch_report(history.row(place)) for place in shown.tolist()]
    sampled = Sample(of=len(epochs), shown=points) if is_sampled else None
    has_more = not points and len(epochs) > limit
    return json_response(EpochPage(object="list", data=rows, has_more=has_more, sampled=sampled))


def _sample(epochs: list[int], best: int | None, points: int) -> list[int]:
    """Exactly `points` indices, evenly spread, always with those of the first, the last and the best epoch."""
    last = len(epochs) - 1
    chosen = {round(place * last / (points - 1)) for place in range(points)}
    kept = epochs.index(best) if best in epochs else None
    if kept is not None and kept not in chosen:
        inner = chosen - {0, last}
        chosen.discard(min(inner, key=lambda place: abs(place - kept)))
        chosen.add(kept)
    return sorted(chosen)


def _stream(job: JobFolder, after: Cursor) -> Response:
    held, release = service(), take_stream()
    has_loop = "fitstop.leaves_within" in request.environ
    response = Response(_frames(held, job, after, has_loop=has_loop), content_type=f"{STREAM}; charset=utf-8")
    # Not in the generator: a client that is gone before the first frame never starts it.
    response.call_on_close(release)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _frames(held: Service, job: JobFolder, after: Cursor, *, has_loop: bool) -> Iterator[str]:
    """Every event after `after` as it comes, and `end` after the last one of a finished job."""
    yield ": connected\nretry: 2000\n\n"
    began = spoke = time.monotonic()
    while not held.is_stopping() and time.monotonic() - began < _STREAM_SECONDS:
        # Asked before the events are read: nothing is written to them after the result.
        is_over = job.result_file.exists() or not job.spec_file.exists()
        for placed in job_events(job, after):
            yield _frame(placed)
            after, spoke = placed.after, time.monotonic()
        if is_over:
            yield _end(job, after)
            return
        if time.monotonic() - spoke >= _KEEP_ALIVE_SECONDS:
            yield ": keep-alive\n\n"
            spoke = time.monotonic()
        # Nothing is new: our server asks again in a moment, and no thread waits meanwhile (api.serving.asgi).
        yield ""
        if not has_loop:
            time.sleep(LOOK_SECONDS)


def _frame(placed: PlacedEvent) -> str:
    return _write(str(placed.after), placed.event.type, event_report(placed))


def _end(job: JobFolder, after: Cursor) -> str:
    result = job.result()
    return _write(str(after), "end", {"status": result.ending.status if result else None})


def _write(identity: str, kind: str, data: object) -> str:
    # A line feed in the type would end the field; in the data JSON escapes it.
    one_line = " ".join(kind.split())
    return f"id: {identity}\nevent: {one_line}\ndata: {to_json(data).decode()}\n\n"


def _last_event_id() -> Cursor | None:
    """Where a client that was cut off goes on; it outweighs `after`, which is from its first request."""
    sent = request.headers.get("Last-Event-ID")
    if not sent:
        return None
    try:
        return _cursor(sent)
    except ValueError as error:
        raise Refused([Problem(pointer("headers", "Last-Event-ID"), f"expected {error}", "invalid")]) from None


def _cursor(text: str) -> Cursor:
    try:
        cursor = Cursor.parse(text)
    except ValueError:
        raise ValueError("the id of an event") from None
    if cursor.offset > _MOST_OFFSET:
        raise ValueError("the id of an event")
    return cursor
