"""How an answer is sent."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json


def as_content(report: Mapping[str, Any]) -> bytes:
    """A report as it is sent: JSON, UTF-8, one newline at the end."""
    return to_json(report) + b"\n"


def list_report(items: Sequence[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """One page of a list."""
    return {"object": "list", "data": list(items), "has_more": has_more}
