"""The byte range of a request, by RFC 9110: section 14 for `Range`, section 13.1.5 for `If-Range`.

Werkzeug (3.1) answers 416 to a range that it should ignore, and compares `If-Range` weakly. So the header is
parsed here, and Werkzeug gets either one range that it can only serve or refuse, or none.
"""

import re
from collections.abc import Mapping
from typing import Any

_ONE_RANGE = re.compile(r"bytes=[ \t]*(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))[ \t]*", re.IGNORECASE)


def with_plain_range(environ: Mapping[str, Any], length: int, etag: str) -> dict[str, Any]:
    """The WSGI environment with the range to serve of `length` bytes: one plain range, or no `HTTP_RANGE` at all.

    These are ignored, so that the whole file is sent: another unit than bytes, a malformed range, several ranges, and
    any range if `If-Range` is not exactly the strong `etag` (given without its quotes). A range that begins at the end
    or beyond it is kept, and Werkzeug answers 416.
    """
    plain = {name: value for name, value in environ.items() if name not in {"HTTP_RANGE", "HTTP_IF_RANGE"}}
    condition = environ.get("HTTP_IF_RANGE")
    asked = _ONE_RANGE.fullmatch(environ.get("HTTP_RANGE", ""))
    if asked is None or (condition is not None and condition.strip() != f'"{etag}"'):
        return plain
    first, last, suffix = (None if number is None else int(number) for number in asked.groups())
    if first is None:
        # The last bytes: all of a shorter file, none of them for `-0`.
        first = max(0, length - suffix) if suffix else length
    if last is not None and last < first:
        return plain
    return {**plain, "HTTP_RANGE": f"bytes={first}-{'' if last is None else last}"}
