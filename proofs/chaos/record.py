"""The append-only log of a run: one JSON line for each thing that happened, by this machine's monotonic clock."""

import json
import threading
import time
from pathlib import Path
from typing import Any


class Record:
    """Writes lines from several threads. A line is never changed or removed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def write(self, what: str, **facts: Any) -> None:
        line = json.dumps({"t": round(time.monotonic() - self._began, 3), "what": what, **facts}) + "\n"
        with self._lock, self.path.open("a") as file:
            file.write(line)

    def read(self, *what: str) -> list[dict[str, Any]]:
        """The lines of these kinds, oldest first; all lines if no kind is named."""
        with self._lock:
            lines = [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []
        return [line for line in lines if not what or line["what"] in what]
