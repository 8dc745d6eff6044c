"""When to log a repeated message again, if its cause is found every few seconds."""

import time

_AGAIN_SECONDS = 600.0


class Seldom:
    """Limits the messages about one lasting condition: the first at once, then one every ten minutes."""

    def __init__(self) -> None:
        self._text = ""
        self._next = 0.0

    @property
    def was_due(self) -> bool:
        """Whether a message has been due."""
        return bool(self._text)

    def is_due(self, text: str) -> bool:
        """Whether to log `text` now: it differs from the last text, or ten minutes have passed."""
        now = time.monotonic()
        if text == self._text and now < self._next:
            return False
        self._text, self._next = text, now + _AGAIN_SECONDS
        return True
