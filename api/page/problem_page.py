"""The page that a browser gets in place of a problem document when it opens an address."""

from flask import Flask, Response, request

from api.http.problems import MEDIA_TYPE
from api.page.views import problem_page


def install(app: Flask) -> None:
    """Replace problem documents with a page for browsers that open an address. Programs get the document."""
    app.after_request(_as_page)


def _as_page(response: Response) -> Response:
    if response.mimetype != MEDIA_TYPE or request.method != "GET" or not _is_navigation():
        return response
    problem = response.get_json()
    page = problem_page(problem)
    page.status_code = response.status_code
    for name, value in response.headers:
        if name not in page.headers and name != "Content-Length":
            page.headers[name] = value
    return page


def _is_navigation() -> bool:
    """Whether a person opens the address: only a browser prefers HTML, and its scripts do not."""
    return request.accept_mimetypes.best_match([MEDIA_TYPE, "application/json", "text/html"]) == "text/html"
