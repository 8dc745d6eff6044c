"""GET /openapi.json, /schema/job.json and /docs: imported at the first request, which makes the start faster."""

from flask import Response

from api.http.operation import JSON, Answer, operation


@operation("showDocument", "documents", "This document", {200: Answer("OpenAPI 3.1.", {JSON: {"type": "object"}})})
def show_api() -> Response:
    """OpenAPI 3.1 document of this API."""
    from api.document.openapi import show

    return show()


@operation(
    "showJobSchema",
    "documents",
    "A job's spec as a JSON schema, for editors",
    {200: Answer("JSON Schema 2020-12.", {"application/schema+json": {"type": "object"}})},
)
def show_job_schema() -> Response:
    """JSON schema of a job's spec: names, types, defaults and limits, for editors."""
    from api.document.openapi import show_job_schema as show

    return show()


@operation(
    "showDocs", "documents", "This document as a page", {200: Answer("HTML.", {"text/html": {"type": "string"}})}
)
def show_page() -> Response:
    """API reference as a page."""
    from api.document.html import show

    return show()
