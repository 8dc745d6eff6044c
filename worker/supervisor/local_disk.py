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
    """`problem`: why no job can use the folder, for people; empty if it works.

    Each check reads the free space. After an attempt that failed because of the disk (`suspect`), and while there is a
    problem, a check also writes a file, because only that detects quotas and broken disks. Each such attempt doubles
    the pause before that check, since a job may need more space than the file.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = Path(tempfile.gettempdir()) if folder is None else folder
        self.problem = ""
        self._pause = _FIRST_PAUSE_SECONDS
        self._next_probe = time.monotonic()
        self._well_since = time.monotonic()

    def suspect(self, reason: str) -> None:
        """Take no job until a check has written a file, since an attempt has failed because of the disk."""
        now = time.monotonic()
        is_new = now - self._well_since > _WELL_SECONDS
        self._pause = _FIRST_PAUSE_SECONDS if is_new else min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        self._next_probe = now + self._pause
        self.problem = reason

    def look(self) -> None:
        """Check the folder, and set `problem`."""
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
