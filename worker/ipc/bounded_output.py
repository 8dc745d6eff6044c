"""The output of a training process, limited to a few megabytes: its beginning and its end (`shared.output`).

Standard output is a file, and a thread opens the next file when it is full. A pipe would lose its content when its
reader ends, but the last lines of a killed process must remain. `logging.handlers` would miss what C libraries print.
"""

import os
import secrets
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path

from shared.durable import TEMPORARY_SUFFIX
from shared.output import SEGMENT_BYTES, segment_name

LOOK_SECONDS = 0.1
_STREAMS = (1, 2)
_KEPT_AT_THE_END = 2


class BoundedOutput:
    """Standard output and standard error of this process, as files in `folder`. Raises OSError."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES, streams: tuple[int, ...] = _STREAMS) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._streams = streams
        self._start = 0
        self._newest: deque[Path] = deque()
        self._file = _open(folder / segment_name(0))
        self._use()

    def watch(self) -> None:
        """Start a thread that checks the size."""
        threading.Thread(target=self._watch, name="output", daemon=True).start()

    def look(self) -> None:
        """Open the next file if this one is full, and remove the oldest except the first."""
        if os.fstat(self._file).st_size < self._segment_bytes:
            return
        draft = self._folder / f".output.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}"
        full, self._file = self._file, _open(draft)
        self._use()
        # Its size is final only now: its end is the beginning of the next file.
        size = os.fstat(full).st_size
        if size > 2 * self._segment_bytes:
            # Where the volume is full, the file stays whole.
            with suppress(OSError):
                self._cut_middle(full, size)
        os.close(full)
        self._start += size
        self._newest.append(draft.rename(self._folder / segment_name(self._start)))
        while len(self._newest) > _KEPT_AT_THE_END:
            self._newest.popleft().unlink(missing_ok=True)

    def _cut_middle(self, full: int, size: int) -> None:
        """Keep the beginning of a file, and its end as another file: what was printed last may be an error."""
        draft = self._folder / f".output.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}"
        cut = size - self._segment_bytes
        draft.write_bytes(os.pread(full, self._segment_bytes, cut))
        self._newest.append(draft.rename(self._folder / segment_name(self._start + cut)))
        os.ftruncate(full, self._segment_bytes)

    def _use(self) -> None:
        for stream in self._streams:
            os.dup2(self._file, stream)

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(LOOK_SECONDS):
            try:
                self.look()
            except OSError:  # the volume fails, which ends the run by other means
                continue


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
