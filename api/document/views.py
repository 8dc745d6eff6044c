"""GET /openapi.json, /schema/job.json and /docs: imported when they are asked for, so that no start waits for them."""

from flask import Response


def show_api() -> Response:
    """OpenAPI 3.1 document of this API."""
    from api.document.openapi import show

    return show()


def show_job_schema() -> Response:
    """JSON schema of a job's spec: names, types, defaults and limits, for editors."""
    from api.document.openapi import show_job_schema as show

    return show()


def show_page() -> Response:
    """API reference as a page."""
    from api.document.html import show

    return show()
