"""Dates and times in text: ISO 8601, and the common formats that are unambiguous."""

import re
from dataclasses import dataclass
from datetime import datetime
from itertools import product

import pyarrow as pa
import pyarrow.compute as pc

from api.datasets.ingest.numbers import matches_all

# This number of distinct cells is tested first, which excludes most formats quickly.
_FIRST_LOOK = 20
DATETIME = pa.timestamp("us")
_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}(:?[0-9]{2}(:?[0-9]{2}(\.[0-9]+)?)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$"
_DATES = ("%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y")
# These are ambiguous if no cell has a day above 12.
_DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y")
_MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y")
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_SHAPES = {
    **dict.fromkeys(("%d", "%m", "%H", "%I"), "[0-9]{1,2}"),
    **dict.fromkeys(("%M", "%S"), "[0-9]{2}"),
    "%Y": "[0-9]{4}",
    "%b": "[A-Za-z]{3}",
    "%B": "[A-Za-z]{3,9}",
    "%p": "[AaPp][Mm]",
}


@dataclass(frozen=True)
class Datetimes:
    """A datetime in UTC, without a zone, for each word, and the format of the words (None: ISO 8601)."""

    values: pa.Array
    format: str | None


def read_datetimes(words: pa.Array) -> Datetimes | None:
    """The words as datetimes, if all have the same format and only one format fits; else None."""
    if (iso := _read_iso(words)) is not None:
        return Datetimes(iso, None)
    found = _readings(words)
    return found[0] if len(found) == 1 else None


def is_ambiguous(words: pa.Array) -> bool:
    """Whether all words are dates whose day and month are ambiguous."""
    return len(_readings(words)) > 1


def _readings(words: pa.Array) -> list[Datetimes]:
    formats = [date + time for date, time in product((*_DATES, *_DAY_FIRST, *_MONTH_FIRST), _TIMES)]
    fitting = [one for one in formats if _fits(words[:_FIRST_LOOK], one) and _fits(words, one)]
    found = [Datetimes(values, one) for one in fitting if (values := _read(words, one)) is not None]
    # "5 May 2020" fits the short and the long name of a month, with the same result.
    named = [one for one in found if one.format and re.search("%[bB]", one.format)]
    return named[:1] or found


def _fits(words: pa.Array, form: str) -> bool:
    shape = re.sub("%[A-Za-z]", lambda part: _SHAPES[part.group()], form.replace(".", "[.]"))
    return matches_all(words, f"^{shape}$")


def _read(words: pa.Array, form: str) -> pa.Array | None:
    values = pc.strptime(words, format=form, unit="us", error_is_null=True)
    return None if values.null_count or not _exist(words, values, form) else values


def _exist(words: pa.Array, values: pa.Array, form: str) -> bool:
    """Whether all days exist: strptime of C reads 31 February as 2 March."""
    suspects = words.filter(pc.less_equal(pc.day(values), 3)).to_pylist()
    return all(_is_day(word, form) for word in suspects if re.search("(29|30|31)", word))


def _is_day(word: str, form: str) -> bool:
    try:
        datetime.strptime(word, form)  # noqa: DTZ007
    except ValueError:
        return False
    return True


def _read_iso(words: pa.Array) -> pa.Array | None:
    if not (matches_all(words[:_FIRST_LOOK], _ISO) and matches_all(words, _ISO)):
        return None
    for zone, unit in product((None, "UTC"), ("us", "ns")):
        try:
            return words.cast(pa.timestamp(unit, zone)).cast(DATETIME, safe=False)
        except pa.ArrowInvalid:
            continue
    return None
