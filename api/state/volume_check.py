"""While the volume is away nothing is answered from the folder in its place: 503, not 404 for each job."""

from flask import Flask, request

from api.state.service import service

_WITHOUT_VOLUME = frozenset({"/healthz", "/readyz", "/limits", "/openapi.json", "/docs", "/schema/job.json"})
_FILES = "/page/static/"


def install(app: Flask) -> None:
    """Look for the volume before each request that needs it, also before its API key is looked up."""
    app.before_request(_check)


def _check() -> None:
    if request.path not in _WITHOUT_VOLUME and not request.path.startswith(_FILES):
        service().volume.check()
