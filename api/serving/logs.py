"""The log: one JSON object a line on stderr for each thing that happened, whatever a client managed to put into it."""

import json
import logging
import re
import sys

from shared.api_key import PATTERN
from shared.times import utc_now

# All of a key but what names it.
_KEY = re.compile(PATTERN)
_NAMED = 15


class JsonLine(logging.Formatter):
    """A record as one line of ASCII: JSON escapes each character that could begin a line, move a cursor or turn text.

    `extra={"facts": {...}}` stands beside the message. An API key that got into a record is cut down to its name.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": utc_now(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return without_keys(json.dumps(line, default=str).replace("\x7f", "\\u007f"))


def without_keys(text: str) -> str:
    """`text` with no API key in it."""
    return _KEY.sub(lambda found: f"{found.group()[:_NAMED]}_***", text)


def start_logging(level: str) -> None:
    """Send all logging of this process to stderr, from `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLine())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
