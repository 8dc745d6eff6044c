"""The body of a request, read once and within limits, with or without a Content-Length."""

from collections.abc import Iterator

from flask import g, request

from api.http.problems import HttpProblem

PIECE_BYTES = 64 * 1024
# Seconds that a client has to send each piece of 64 KiB: about 2 KiB per second.
PIECE_SECONDS = 30.0


def pieces(most_bytes: int) -> Iterator[bytes]:
    """The body in pieces of at most 64 KiB.

    Raises HttpProblem: 415 for a compressed body, 413 at the first byte above `most_bytes`, 400 if the client
    disconnects before the end, 408 if it is too slow, 411 if a client without a key sends no length.
    """
    _refuse_encoded()
    announced = request.content_length
    # Only a body with a length is received before its request occupies a thread.
    if announced is None and "caller" not in g:
        raise HttpProblem(411, "length_required", "send the body with its Content-Length, not in chunks")
    check_size(announced or 0, most_bytes)
    received = 0
    while piece := _receive(min(PIECE_BYTES, most_bytes + 1 - received)):
        received += len(piece)
        g.body_bytes = received
        check_size(received, most_bytes)
        yield piece
        if received == announced:
            return
    if announced is not None and received < announced:
        raise _incomplete_body()


def _refuse_encoded() -> None:
    encoding = request.headers.get("Content-Encoding", "identity").strip()
    if encoding.lower() not in {"", "identity"}:
        detail = f"received Content-Encoding: {encoding[:60]}, expected none; send the body as it is, not compressed"
        raise HttpProblem(415, "encoded", detail, headers={"Accept-Encoding": "identity"})


def _receive(size: int) -> bytes:
    try:
        return request.stream.read(size)
    except TimeoutError as error:
        raise HttpProblem(408, "too_slow", "the body came too slowly") from error
    except ConnectionError as error:
        raise _incomplete_body() from error


def check_size(size: int, most_bytes: int) -> None:
    """Raise HttpProblem 413 for a body of more than `most_bytes`."""
    if size > most_bytes:
        raise HttpProblem(413, "too_large", f"the body is larger than {most_bytes} bytes, the maximum")


def _incomplete_body() -> HttpProblem:
    return HttpProblem(400, "incomplete_body", "the body is shorter than its Content-Length")
