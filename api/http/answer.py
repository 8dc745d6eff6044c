"""Answers in JSON."""

from flask import Response
from pydantic import BaseModel
from pydantic_core import to_json


def as_content(shape: BaseModel) -> bytes:
    """The bytes of an answer: JSON, UTF-8, one newline at the end."""
    return to_json(shape) + b"\n"


def json_response(shape: BaseModel, status: int = 200) -> Response:
    """A response with the fields of `shape` as JSON."""
    return Response(as_content(shape), status, content_type="application/json")
