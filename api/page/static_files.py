"""The pages' scripts and styles, as they lie in the package."""

from pathlib import Path

from flask import Response, send_from_directory

from shared.problems import NotFound

FOLDER = Path(__file__).parent / "static"
# Not by the machine's own table of types: a module of another type than this is not run.
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def show_file(name: str) -> Response:
    """One of our own files."""
    return _served(FOLDER, name)


def show_vendored(name: str) -> Response:
    """A file that others wrote; its license lies beside it."""
    return _served(FOLDER / "vendor", name)


def _served(folder: Path, name: str) -> Response:
    kind = _TYPES.get(Path(name).suffix)
    if kind is None or not (folder / name).is_file():
        raise NotFound("there is no file of this name")
    response = send_from_directory(folder, name, mimetype=kind, max_age=0)
    response.headers["Cache-Control"] = "no-cache"
    return response
