"""GET /jobs/{id}/output: what the training processes printed, as text, as JSON pages or as a stream.

The API keeps no state between two requests. Control characters are escaped, so no terminal or browser executes them.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from flask import Response, request

from api.auth.projects import find_job
from api.auth.quotas import costly_read
from api.http.answer import json_response
from api.http.byte_range import with_plain_range
from api.http.operation import JSON, STREAM, Answer, integer, operation, text
from api.http.query import Query
from api.jobs.event_stream import CURSOR_PATTERN, Frames, event_stream, frame, last_event_id, parse_cursor
from api.shapes.jobs import OutputPage, OutputPiece
from shared.document import UnusableDocument
from shared.events import Cursor
from shared.job_folder import AttemptFolder, JobFolder
from shared.output import Piece, last_bytes, output_bytes, read_output

_TEXT = "text/plain"
_PIECE_BYTES = 64 * 1024
_PAGE_BYTES = 512 * 1024
# Maximum of one answer in plain text. An attempt has less than half of it, except in older versions without a limit.
_MOST_TEXT_BYTES = 16 * 1024**2
_MOST_LINES = 10_000
_LINES_BYTES = 4 * 1024**2


@operation(
    "getOutput",
    "progress",
    "Read or stream what the training processes of a job printed",
    {
        200: Answer(
            "The text, one page of it, or the stream.",
            {_TEXT: {"type": "string"}, JSON: OutputPage, STREAM: {"type": "string"}},
            headers=("Accept-Ranges",),
        ),
        206: Answer("Part of the text.", {_TEXT: {"type": "string"}}, headers=("Accept-Ranges", "Content-Range")),
    },
    query={
        "after": text("Cursor after the last piece that the client has.", pattern=CURSOR_PATTERN),
        "attempt": integer(1, 10**9, None, "Output of this attempt only."),
        "lines": integer(1, _MOST_LINES, None, "Last lines only."),
    },
    headers={
        "Range": text("Range of bytes of the text."),
        "Last-Event-ID": text("Same as `after`, with precedence.", pattern=CURSOR_PATTERN),
    },
    errors=(404, 416, 429, 503),
)
def show(job_id: str) -> Response:
    """Read what the training processes printed, attempt after attempt.

    As `text/plain` each attempt begins with a line that names it, and a line says where output was removed. Of much
    output the beginning and the end are kept.
    """
    with Query("after", "attempt", "lines") as query:
        after = query.parse("after", parse_cursor, Cursor())
        number = query.integer("attempt", 0, 1, 10**9)
        lines = query.integer("lines", 0, 1, _MOST_LINES)
    job = find_job(job_id)
    kind = request.accept_mimetypes.best_match([_TEXT, JSON, STREAM])
    if kind == STREAM:
        return event_stream(job, last_event_id() or after, partial(_frames, number=number))
    attempts = _attempts(job, number)
    with costly_read():
        pieces = _last_lines(attempts, lines) if lines else list(_page(attempts, after, kind))
        if kind == JSON:
            return json_response(_as_page(attempts, pieces, after))
        return _as_text(_join(attempts, pieces))


def _attempts(job: JobFolder, number: int) -> list[AttemptFolder]:
    return [one for one in job.attempts() if number in {0, one.number}]


def _page(attempts: Sequence[AttemptFolder], after: Cursor, kind: str | None) -> Iterator[Piece]:
    left = _PAGE_BYTES if kind == JSON else _MOST_TEXT_BYTES
    for piece in read_output(attempts, after, _PIECE_BYTES):
        yield piece
        left -= len(piece.content)
        if left <= 0:
            return


def _last_lines(attempts: Sequence[AttemptFolder], count: int) -> list[Piece]:
    """The last `count` lines as pieces: one for each attempt, and one after each removed part."""
    found: list[Piece] = []
    for attempt in reversed(attempts):
        runs = _runs(last_bytes(attempt, _LINES_BYTES))
        for run in reversed(runs):
            lines = b"".join(piece.content for piece in run).splitlines(keepends=True)
            skipped_bytes = run[0].skipped_bytes if len(lines) <= count and run is not runs[0] else 0
            found.insert(0, Piece(attempt, b"".join(lines[-count:]), skipped_bytes, run[-1].after))
            count -= len(lines)
            if count <= 0:
                return found
    return found


def _runs(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """The pieces in groups between which no output was removed."""
    runs: list[list[Piece]] = []
    for piece in pieces:
        if piece.skipped_bytes or not runs:
            runs.append([])
        runs[-1].append(piece)
    return runs


def _as_page(attempts: Sequence[AttemptFolder], pieces: Sequence[Piece], after: Cursor) -> OutputPage:
    last = pieces[-1].after if pieces else after
    # There may be more output by now, but never less. A client stops at an empty page.
    newest = attempts[-1] if attempts else None
    has_more = (
        bool(pieces) and newest is not None and (last.attempt, last.offset) < (newest.number, output_bytes(newest))
    )
    return OutputPage(object="list", data=[_shown(piece) for piece in pieces], has_more=has_more, next=str(last))


def _shown(piece: Piece) -> OutputPiece:
    return OutputPiece(
        attempt=piece.attempt.number,
        host=_host(piece.attempt),
        text=piece.text,
        skipped_bytes=piece.skipped_bytes,
    )


def _host(attempt: AttemptFolder) -> str | None:
    try:
        claim = attempt.claim()
    except UnusableDocument:
        return None
    return claim.host if claim else None


def _join(attempts: Sequence[AttemptFolder], pieces: Sequence[Piece]) -> str:
    """Join the pieces to one text. Until output is removed, later texts only add to its end."""
    parts: list[str] = []
    before = None
    for piece in pieces:
        if piece.attempt != before:
            host = _host(piece.attempt)
            parts.append(f"==> attempt {piece.attempt.number}{f' on {host}' if host else ''} <==\n")
            before = piece.attempt
        if piece.skipped_bytes:
            parts.append(f"[... {piece.skipped_bytes} bytes were removed here ...]\n")
        shown = piece.text
        is_cut_off = piece.after.attempt != attempts[-1].number and not shown.endswith("\n")
        parts.append(shown + "\n" * is_cut_off)
    return "".join(parts)


def _as_text(content: str) -> Response:
    response = Response(content.encode(), content_type=f"{_TEXT}; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    length = response.content_length or 0
    # The text grows and so has no ETag: a range refers to the current text.
    environ = with_plain_range({**request.environ, "HTTP_IF_RANGE": None}, length, "")
    response.make_conditional(environ, accept_ranges=True, complete_length=length)
    return response


def _frames(job: JobFolder, after: Cursor, *, number: int) -> Frames:
    """The pieces after a cursor as frames of the stream."""
    for piece in read_output(_attempts(job, number), after, _PIECE_BYTES):
        yield piece.after, frame(piece.after, "output", _shown(piece))
