"""An event stream of a job (server-sent events): new items after a cursor as they appear, then `end`.

The API keeps no state of a stream, so a client can resume it on any API host and after any restart.
"""

import time
from collections.abc import Callable, Iterator

from flask import Response, request
from pydantic_core import to_json

from api.auth.quotas import take_stream
from api.http.operation import STREAM
from api.state.changes import LOOK_SECONDS
from api.state.service import Service, service
from shared.events import Cursor
from shared.job_folder import JobFolder
from shared.problems import Problem, Refused, pointer

CURSOR_PATTERN = "^[0-9]{1,9}:[0-9]{1,18}$"
MOST_OFFSET = 2**63 - 1
_KEEP_ALIVE_SECONDS = 15.0
# A stream ends after this time, and its client resumes it.
_STREAM_SECONDS = 600.0

# The frames of a stream, each with the cursor after it.
Frames = Iterator[tuple[Cursor, str]]


def event_stream(job: JobFolder, after: Cursor, frames: Callable[[JobFolder, Cursor], Frames]) -> Response:
    """Stream the `frames` of a job after a cursor, until the job has finished. Raises HttpProblem 429, 503."""
    current, release = service(), take_stream()
    has_loop = "fitstop.leaves_within" in request.environ
    parts = _all_frames(current, job, after, frames, has_loop=has_loop)
    response = Response(parts, content_type=f"{STREAM}; charset=utf-8")
    # Not in the generator, which never starts if the client disconnects before the first frame.
    response.call_on_close(release)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _all_frames(
    current: Service, job: JobFolder, after: Cursor, frames: Callable[[JobFolder, Cursor], Frames], *, has_loop: bool
) -> Iterator[str]:
    yield ": connected\nretry: 2000\n\n"
    began = last_sent = time.monotonic()
    while not current.is_stopping() and time.monotonic() - began < _STREAM_SECONDS:
        # Checked before the files are read: nothing is written to them after the result.
        is_finished = job.result_file.exists() or not job.spec_file.exists()
        for place, part in frames(job, after):
            yield part
            after, last_sent = place, time.monotonic()
        if is_finished:
            yield _end(job, after)
            return
        if time.monotonic() - last_sent >= _KEEP_ALIVE_SECONDS:
            yield ": keep-alive\n\n"
            last_sent = time.monotonic()
        # Nothing is new: the server continues in a moment, and no thread waits until then (api.serving.asgi).
        yield ""
        if not has_loop:
            time.sleep(LOOK_SECONDS)


def _end(job: JobFolder, after: Cursor) -> str:
    result = job.result()
    return frame(after, "end", {"status": result.ending.status if result else None})


def frame(after: Cursor, kind: str, data: object) -> str:
    """One event of the stream; `after` is its id."""
    # A line feed would end the field. In the data, JSON escapes it.
    one_line = " ".join(kind.split())
    return f"id: {after}\nevent: {one_line}\ndata: {to_json(data).decode()}\n\n"


def last_event_id() -> Cursor | None:
    """The cursor of a client that reconnects, or None. `after` is from its first request, so this has precedence."""
    sent = request.headers.get("Last-Event-ID")
    if not sent:
        return None
    try:
        return parse_cursor(sent)
    except ValueError as error:
        raise Refused([Problem(pointer("headers", "Last-Event-ID"), f"expected {error}", "invalid")]) from None


def parse_cursor(text: str) -> Cursor:
    """The cursor that a client sent. Raises ValueError with what is expected."""
    try:
        cursor = Cursor.parse(text)
    except ValueError:
        raise ValueError("the id of an event") from None
    if cursor.offset > MOST_OFFSET:
        raise ValueError("the id of an event")
    return cursor
