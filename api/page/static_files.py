"""The scripts and styles of the pages, from the package."""

import re
from pathlib import Path

from flask import Response, request

from api.http.operation import IF_NONE_MATCH, NOT_MODIFIED, Answer, operation
from shared.problems import NotFound

FOLDER = Path(__file__).parent / "static"
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
# Used in place of the machine's table of types, since a browser does not run a module of another type.
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_ANSWERS = {
    200: Answer("The file.", {kind: {"type": "string"} for kind in _TYPES.values()}, headers=("ETag",)),
    304: NOT_MODIFIED,
}


@operation("showFile", "page", "Script or stylesheet of the page", _ANSWERS, headers=IF_NONE_MATCH, errors=(404,))
def show_file(name: str) -> Response:
    """A script or stylesheet of the page."""
    return _serve(FOLDER, name)


@operation("showVendoredFile", "page", "Third-party file of the page", _ANSWERS, headers=IF_NONE_MATCH, errors=(404,))
def show_vendored(name: str) -> Response:
    """A third-party file; its license is in the same folder."""
    return _serve(FOLDER / "vendor", name)


def _serve(folder: Path, name: str) -> Response:
    kind = _TYPES.get(Path(name).suffix)
    if kind is None or not _NAME.fullmatch(name) or not (folder / name).is_file():
        raise NotFound("there is no file with this name")
    response = Response((folder / name).read_bytes(), content_type=f"{kind}; charset=utf-8")
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request.environ)
    return response
