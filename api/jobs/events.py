"""GET /jobs/{id}/events, as JSON pages or as a stream, and GET /jobs/{id}/epochs.

Events are read from `events.jsonl` after a cursor. The API keeps no state of a stream, so a client can resume it on any
API host and after any restart. Epochs come from the histories, which read only what is new in the file.
"""

from itertools import islice

from flask import Response, request

from api.auth.projects import find_job
from api.http.answer import json_response
from api.http.operation import JSON, STREAM, Answer, integer, json_answer, operation, text
from api.http.query import Query
from api.jobs.event_stream import CURSOR_PATTERN, MOST_OFFSET, Frames, event_stream, frame, last_event_id, parse_cursor
from api.jobs.report import epoch_report, event_report
from api.shapes.jobs import EpochPage, EventPage, Sample
from api.state.histories import histories
from shared.events import Cursor, job_events
from shared.job_folder import JobFolder


@operation(
    "listEvents",
    "progress",
    "List or stream the events of a job",
    {200: Answer("One page, or the event stream.", {JSON: EventPage, STREAM: {"type": "string"}})},
    query={
        "after": text("Id of the last event that the client has.", pattern=CURSOR_PATTERN),
        "limit": integer(1, 1000, 200),
    },
    headers={"Last-Event-ID": text("Same as `after`, with precedence.", pattern=CURSOR_PATTERN)},
    errors=(404, 429, 503),
)
def show(job_id: str) -> Response:
    """List or stream the events of a job after a cursor."""
    with Query("after", "limit") as query:
        after = query.parse("after", parse_cursor, Cursor())
        limit = query.integer("limit", 200, 1, 1000)
    job = find_job(job_id)
    if request.accept_mimetypes.best_match(["application/json", STREAM]) == STREAM:
        return event_stream(job, last_event_id() or after, _frames)
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
        after = query.integer("after", 0, 0, MOST_OFFSET)
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
    """Exactly `points` indices, evenly spaced, always with those of the first, the last and the best epoch."""
    last = len(epochs) - 1
    chosen = {round(place * last / (points - 1)) for place in range(points)}
    kept = epochs.index(best) if best in epochs else None
    if kept is not None and kept not in chosen:
        inner = chosen - {0, last}
        chosen.discard(min(inner, key=lambda place: abs(place - kept)))
        chosen.add(kept)
    return sorted(chosen)


def _frames(job: JobFolder, after: Cursor) -> Frames:
    for placed in job_events(job, after):
        yield placed.after, frame(placed.after, placed.event.type, event_report(placed))
