"""The answers while the volume is unavailable.

If the volume is not mounted, its folder is empty: then the answer is 503, not 404 for every job. While a bucket does
not answer, requests that only read are answered from this machine's copy of it, with a header that says so.
"""

from flask import Flask, Response, g, request

from api.http.problems import RETRY_SECONDS, HttpProblem
from api.state.service import service

HEADER = "Fitstop-Volume-Away"
_WORDS = "the bucket that holds the volume does not answer"
_WITHOUT_VOLUME = frozenset({"/healthz", "/readyz", "/limits", "/openapi.json", "/docs", "/schema/job.json"})
_FILES = "/page/static/"
_READS = frozenset({"GET", "HEAD"})
# A replay only reads. Sessions, keys and webhooks are in the state folder of this machine.
_READ_ENDING = "/replay"
_OF_STATE_FOLDER = ("/page/", "/keys", "/webhooks")


def install(app: Flask) -> None:
    """Check the volume before each request that needs it, also before the lookup of its API key."""
    app.before_request(_check)
    app.after_request(_mark)


def _check() -> None:
    if request.path in _WITHOUT_VOLUME or request.path.startswith(_FILES):
        return
    volume = service().volume
    volume.identity.check()
    try:
        volume.check()
    except OSError as error:
        if not _only_reads():
            detail = f"{_WORDS}; nothing was changed; try again later"
            raise HttpProblem(503, "volume_unavailable", detail, retry_after=RETRY_SECONDS) from error
        g.is_volume_away = True


def _only_reads() -> bool:
    is_read = request.method in _READS or request.path.endswith(_READ_ENDING)
    return is_read or request.path.startswith(_OF_STATE_FOLDER)


def _mark(response: Response) -> Response:
    if g.get("is_volume_away"):
        response.headers[HEADER] = f"{_WORDS}; this is what this machine has of it"
    return response
