"""Times as people and files see them: RFC 3339, UTC, to the millisecond."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> str:
    """This moment by this machine's clock, such as `2026-11-23T19:12:00.123Z`."""
    return format_time(datetime.now(UTC))


def format_time(moment: datetime) -> str:
    """`moment`, which must know its time zone, as RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """The moment that `text` (RFC 3339) names. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time without a time zone: {text!r}")
    return moment


def _check_time(text: str) -> str:
    parse_time(text)
    return text


Time = Annotated[str, AfterValidator(_check_time)]
"""A moment as a document holds it."""


def microseconds(text: str) -> int:
    """The moment that `text` (RFC 3339) names, in microseconds since 1970."""
    return (parse_time(text) - _UNIX) // timedelta(microseconds=1)


def seconds_since(text: str) -> float:
    """How long ago `text` was by this machine's clock, in seconds; never below zero."""
    return max(0.0, (datetime.now(UTC) - parse_time(text)).total_seconds())


def seconds_until(text: str) -> float:
    """How long until `text` by this machine's clock, in seconds; below zero where it has passed."""
    return (parse_time(text) - datetime.now(UTC)).total_seconds()


def time_in(seconds: float) -> str:
    """The time `seconds` from now by this machine's clock."""
    return format_time(datetime.now(UTC) + timedelta(seconds=seconds))
