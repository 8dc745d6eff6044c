"""Times in files and for people: RFC 3339 in UTC, with milliseconds."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> str:
    """The current time by this machine's clock, such as `2026-11-23T19:12:00.123Z`."""
    return format_time(datetime.now(UTC))


def format_time(moment: datetime) -> str:
    """`moment`, which must have a time zone, as RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Parse `text` (RFC 3339). Raises ValueError if it is not a time with a time zone."""
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
    """The time `text` (RFC 3339) in microseconds since 1970."""
    return (parse_time(text) - _UNIX) // timedelta(microseconds=1)


def seconds_since(text: str) -> float:
    """Seconds since the time `text` by this machine's clock; never negative."""
    return max(0.0, (datetime.now(UTC) - parse_time(text)).total_seconds())


def seconds_until(text: str) -> float:
    """Seconds until the time `text` by this machine's clock; negative if it has passed."""
    return (parse_time(text) - datetime.now(UTC)).total_seconds()


def time_in(seconds: float) -> str:
    """The time `seconds` from now by this machine's clock."""
    return format_time(datetime.now(UTC) + timedelta(seconds=seconds))
