"""The log: one line for each thing that happened, on stderr, whatever a client managed to put into it."""

import logging
import re
import sys

from shared.times import utc_now

# Control, format, line-separating and surrogate characters; a backslash stays as it is.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


class OneLine(logging.Formatter):
    """A record as one line, its traceback too: a line feed is shown as a backslash and an n."""

    def format(self, record: logging.LogRecord) -> str:
        text = escaped(super().format(record))
        return f"{utc_now()} {record.levelname.lower()} {record.name}: {text}"


def escaped(text: str) -> str:
    """`text` with nothing in it that could begin a line, move a cursor or turn the reading direction."""
    return _UNSAFE.sub(lambda found: repr(found.group())[1:-1], text)


def start_logging(level: str) -> None:
    """Send all logging of this process to stderr, from `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
