"""An event stream of a job (server-sent events): new items after a cursor as they come, then `end`.

Nothing is kept between two requests, so a stream resumes on any API host and after any restart.
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
# A stream ends after this and its client resumes it.
_STREAM_SECONDS = 600.0

# Each with the cursor after it.
Frames = Iterator[tuple[Cursor, str]]


def event_stream(job: JobFolder, after: Cursor, frames: Callable[[JobFolder, Cursor], Frames]) -> Response:
    """Stream what `frames` reads of a job after a cursor, until the job has finished. Raises HttpProblem 429, 503."""
    held, release = service(), take_stream()
    has_loop = "fitstop.leaves_within" in request.environ
    parts = _all_frames(held, job, after, frames, has_loop=has_loop)
    response = Response(parts, content_type=f"{STREAM}; charset=utf-8")
    # Not in the generator: a client that is gone before the first frame never starts it.
    response.call_on_close(release)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _all_frames(
    held: Service, job: JobFolder, after: Cursor, frames: Callable[[JobFolder, Cursor], Frames], *, has_loop: bool
) -> Iterator[str]:
    yield ": connected\nretry: 2000\n\n"
    began = spoke = time.monotonic()
    while not held.is_stopping() and time.monotonic() - began < _STREAM_SECONDS:
        # Asked before the files are read: nothing is written to them after the result.
        is_over = job.result_file.exists() or not job.spec_file.exists()
        for place, part in frames(job, after):
            yield part
            after, spoke = place, time.monotonic()
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


def _end(job: JobFolder, after: Cursor) -> str:
    result = job.result()
    return frame(after, "end", {"status": result.ending.status if result else None})


def frame(after: Cursor, kind: str, data: object) -> str:
    """One event of the stream; `after` is its id."""
    # A line feed in the type would end the field; in the data JSON escapes it.
    one_line = " ".join(kind.split())
    return f"id: {after}\nevent: {one_line}\ndata: {to_json(data).decode()}\n\n"


def last_event_id() -> Cursor | None:
    """Where a client that was cut off continues; it outweighs `after`, which is from its first request."""
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
