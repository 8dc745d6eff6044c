"""When a log says the same thing again that is found every few seconds."""

import time

_AGAIN_SECONDS = 600.0


class Seldom:
    """For one condition that lasts: its reason at once, and again every ten minutes."""

    def __init__(self) -> None:
        self._text = ""
        self._next = 0.0

    @property
    def was_due(self) -> bool:
        """Whether something has been said."""
        return bool(self._text)

    def is_due(self, text: str) -> bool:
        """Whether to say `text` now: another one than the last time, or the same one ten minutes later."""
        now = time.monotonic()
        if text == self._text and now < self._next:
            return False
        self._text, self._next = text, now + _AGAIN_SECONDS
        return True
