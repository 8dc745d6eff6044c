"""The limits of one API key: requests per minute, unfinished jobs, concurrent uploads and streams, bytes per day.

Above a limit the answer is 429 with `Retry-After`. For a limit with a time window, each answer has the remaining quota
(`RateLimit` and `RateLimit-Policy`, draft-ietf-httpapi-ratelimit-headers-10).

Flask-Limiter is not used: it limits only requests, has other headers, and asks Redis three times for a count and its
window.
"""

import math
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Flask, Response, g, request

from api.auth.access import caller
from api.http.problems import HttpProblem
from api.state.service import service
from shared.job import JobRecord
from shared.open_job import OpenJob
from shared.times import utc_now

MINUTE_SECONDS = 60
DAY_SECONDS = 86_400

_USED = "keys-used"
# The time of a key's last use is stored at most once in this time.
_USED_SECONDS = 60.0
_JOBS_RETRY_SECONDS = 30
_UPLOADS_RETRY_SECONDS = 10
_STREAMS_RETRY_SECONDS = 5
# After this time an upload no longer counts: an API that was killed does not release it.
_UPLOAD_SECONDS = 3600.0


@dataclass(frozen=True)
class Window:
    """One limit with a time window, as an answer reports it."""

    name: str
    quota: int
    seconds: int
    left: int
    resets_in: float


def install(app: Flask) -> None:
    """Count each request of a key before its view runs, and report the remaining quota in its answer."""
    app.before_request(_count_request)
    app.after_request(_add_quota_headers)


def admit_job(record: JobRecord) -> None:
    """Count a job before it is stored. Raises HttpProblem 429 if its key has too many unfinished jobs.

    A few concurrent posts may exceed the maximum: a job that is being stored has no marker yet.
    """
    most = service().settings.max_unfinished_jobs
    marker = OpenJob.of(record).name
    if not service().unfinished.admit(caller().key_id, marker, most):
        raise HttpProblem(
            429,
            "too_many_jobs",
            f"this key has {most} jobs without a result, the maximum; wait for some to finish, or cancel them",
            retry_after=_JOBS_RETRY_SECONDS,
        )


@contextmanager
def count_upload() -> Iterator[None]:
    """Count the block as an upload of the caller's key, and its bytes. Raises HttpProblem 429 before the first byte."""
    settings, counts, key_id = service().settings, service().counts, caller().key_id
    _check_bytes(request.content_length or 1)
    name, token = f"uploads:{key_id}", secrets.token_hex(8)
    if not counts.ask(lambda kind: kind.hold(name, token, settings.max_uploads, _UPLOAD_SECONDS)):
        raise HttpProblem(
            429,
            "too_many_uploads",
            f"this key has {settings.max_uploads} uploads in progress, the maximum",
            retry_after=_UPLOADS_RETRY_SECONDS,
        )
    try:
        yield
    finally:
        counts.ask(lambda kind: kind.release(name, token))
        _count_bytes(g.get("body_bytes", 0))


def take_stream() -> Callable[[], None]:
    """Reserve an event stream; call the returned function to release it. Raises HttpProblem 429, 503.

    A link to a job gets no stream, since many people may have it.
    """
    current, key_id = service(), caller().key_id
    if caller().is_shared:
        detail = "a link to a job has no event stream; poll as JSON instead"
        raise HttpProblem(429, "too_many_streams", detail, retry_after=_STREAMS_RETRY_SECONDS)
    if not current.streams_of_keys.take(key_id):
        most = current.settings.streams_per_key
        detail = f"this key has {most} event streams, the maximum; close some, or poll as JSON instead"
        raise HttpProblem(429, "too_many_streams", detail, retry_after=_STREAMS_RETRY_SECONDS)
    if not current.streams.acquire(blocking=False):
        current.streams_of_keys.release(key_id)
        detail = "all event streams are in use; poll as JSON instead"
        raise HttpProblem(503, "too_many_streams", detail, retry_after=_STREAMS_RETRY_SECONDS)

    def release() -> None:
        current.streams.release()
        current.streams_of_keys.release(key_id)

    return release


@contextmanager
def costly_read() -> Iterator[None]:
    """Count an expensive read of the caller's key. Raises HttpProblem 429 if the key has too many at once."""
    current, key_id = service(), caller().key_id
    if not current.costly_of_keys.take(key_id):
        most = current.settings.costly_reads_per_key
        detail = f"this key has {most} costly requests in progress, the maximum; wait for one to finish"
        raise HttpProblem(429, "too_many_costly_reads", detail, retry_after=1)
    try:
        yield
    finally:
        current.costly_of_keys.release(key_id)


def last_used() -> dict[str, str]:
    """The last known use of each key, to the minute."""
    return service().counts.ask(lambda kind: kind.table(_USED))


def _count_request() -> None:
    if "caller" not in g:
        return
    quota, key_id = service().settings.requests_per_minute, caller().key_id
    count = service().counts.ask(lambda kind: kind.add(f"requests:{key_id}", 1, MINUTE_SECONDS))
    window = Window("requests", quota, MINUTE_SECONDS, quota - count.total, count.resets_in)
    _note_use(key_id)
    _check_window(window, "too_many_requests", f"this key has made {quota} requests in a minute, the maximum")


def _note_use(key_id: str) -> None:
    noted, now = service().uses_noted, time.monotonic()
    if now - noted.get(key_id, -math.inf) >= _USED_SECONDS:
        noted[key_id] = now
        service().counts.ask(lambda kind: kind.put(_USED, key_id, utc_now()))


def _check_bytes(coming: int) -> None:
    window = _count_bytes(0)
    if coming > window.left:
        _check_window(
            Window(window.name, window.quota, window.seconds, -1, window.resets_in),
            "too_many_bytes",
            f"with this upload the key has sent more than {window.quota} bytes in a day, the maximum",
        )


def _count_bytes(amount: int) -> Window:
    quota, key_id = service().settings.upload_bytes_per_day, caller().key_id
    count = service().counts.ask(lambda kind: kind.add(f"bytes:{key_id}", amount, DAY_SECONDS))
    window = Window("bytes", quota, DAY_SECONDS, quota - count.total, count.resets_in)
    g.setdefault("windows", {})[window.name] = window
    return window


def _check_window(window: Window, code: str, detail: str) -> None:
    g.setdefault("windows", {})[window.name] = window
    if window.left < 0:
        raise HttpProblem(429, code, detail, retry_after=math.ceil(window.resets_in) or 1)


def _add_quota_headers(response: Response) -> Response:
    windows: list[Window] = list(g.get("windows", {}).values())
    if windows:
        response.headers["RateLimit-Policy"] = ", ".join(_policy(one) for one in windows)
        response.headers["RateLimit"] = ", ".join(
            f'"{one.name}";r={max(0, one.left)};t={math.ceil(one.resets_in)}' for one in windows
        )
    return response


def _policy(window: Window) -> str:
    unit = ';qu="content-bytes"' if window.name == "bytes" else ""
    return f'"{window.name}";q={window.quota}{unit};w={window.seconds}'
