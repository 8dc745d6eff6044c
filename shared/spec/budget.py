"""The limits of a job."""

from re import ASCII
from re import compile as pattern
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.spec.base import Strict
from shared.times import format_time, parse_time

_RFC_3339 = pattern(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", ASCII)


def _moment(text: str) -> str:
    """The moment in UTC."""
    try:
        if _RFC_3339.fullmatch(text):
            return format_time(parse_time(text.upper()))
    except (ValueError, OverflowError):
        pass
    raise ValueError("expected a time with a time zone (RFC 3339), such as 2027-01-31T06:00:00Z")


Moment = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"}), AfterValidator(_moment)]


class Budget(Strict):
    """Limits of a job. It stops early enough to save its model; null means no limit."""

    max_gpu_seconds: float | None = Field(default=None, gt=0)
    """Maximum compute time of all attempts together, in seconds. Time in the queue does not count."""
    max_cost: float | None = Field(default=None, gt=0)
    """Maximum cost of that time, in the currency of the workers. It requires workers with a price."""
    deadline: Moment | None = None
    """Time by which the job must end."""
