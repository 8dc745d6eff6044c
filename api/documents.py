"""GET /openapi.json, /schema/job.json and /docs: imported when they are asked for, so that no start waits for them."""

from flask import Response


def show_api() -> Response:
    """The document of all that this service answers, OpenAPI 3.1."""
    from api.openapi import show

    return show()


def show_job_schema() -> Response:
    """What a job's spec may hold: names, types, defaults, limits. An editor completes and checks with it."""
    from api.openapi import show_job_schema as show

    return show()


def show_page() -> Response:
    """Everything that this service answers, for people."""
    from api.docs import show

    return show()
