"""The log: one JSON object per line on stderr. No text of a client can forge a line or control a terminal."""

import json
import logging
import sys
from collections.abc import Iterable

from shared.api_key import without_keys
from shared.times import utc_now


class JsonLine(logging.Formatter):
    """A record as one line of ASCII: JSON escapes line breaks, control characters and marks of the text's direction.

    The fields of `extra={"facts": {...}}` are added to the line. An API key in a record is shortened to its public
    name. Each of `secrets`, which no pattern recognizes, is replaced by asterisks.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = [json.dumps(secret)[1:-1] for secret in secrets if secret]

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
        text = json.dumps(line, default=str).replace("\x7f", "\\u007f")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return without_keys(text)


def start_logging(level: str, secrets: Iterable[str] = ()) -> None:
    """Send all logging of this process to stderr, from `level` on, without the `secrets`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLine(secrets))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
