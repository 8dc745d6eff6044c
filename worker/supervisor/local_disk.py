"""The folder for temporary files on this machine's own disk, which training needs in addition to the volume."""

import logging
import os
import tempfile
import time
from pathlib import Path

_LEAST_FREE_BYTES = 16 * 1024**2
_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 300.0
# After this time without trouble the next pause is short again.
_WELL_SECONDS = 600

log = logging.getLogger(__name__)


class LocalDisk:
    """`problem` says why no job can use it, for people; empty if it works.

    Each check looks at the free space. After an attempt that failed on it (`suspect`), and while it has a problem, a
    check also writes a file: only that detects quotas and broken disks. Each failed attempt doubles the pause before
    that, since a job may need more room than the file.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = Path(tempfile.gettempdir()) if folder is None else folder
        self.problem = ""
        self._pause = _FIRST_PAUSE_SECONDS
        self._next_probe = time.monotonic()
        self._well_since = time.monotonic()

    def suspect(self, reason: str) -> None:
        """Check it thoroughly: an attempt has failed on it."""
        now = time.monotonic()
        is_new = now - self._well_since > _WELL_SECONDS
        self._pause = _FIRST_PAUSE_SECONDS if is_new else min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        self._next_probe = now + self._pause
        self.problem = reason

    def look(self) -> None:
        """Check its state."""
        if self.problem and time.monotonic() < self._next_probe:
            return
        try:
            if self.problem:
                self._write()
            self._check_room()
        except OSError as error:
            self.problem = f"its folder for temporary files, {self._folder}, cannot be used: {error.strerror or error}"
            return
        if self.problem:
            log.warning("the folder for temporary files works again")
            self.problem, self._well_since = "", time.monotonic()

    def _check_room(self) -> None:
        found = os.statvfs(self._folder)
        if found.f_bavail * found.f_frsize < _LEAST_FREE_BYTES:
            raise OSError(f"less than {_LEAST_FREE_BYTES >> 20} MB are free")

    def _write(self) -> None:
        with tempfile.TemporaryFile(dir=self._folder) as file:
            file.write(bytes(_LEAST_FREE_BYTES))
            file.flush()
            os.fsync(file.fileno())
