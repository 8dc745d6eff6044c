"""Programs on a worker: whether it runs them, and how much a program may write to the volume."""

import logging
import time
from contextlib import suppress
from pathlib import Path

from shared.document import UnusableDocument
from shared.job_folder import AttemptFolder, JobFolder
from shared.settings import AllowCode, Settings
from shared.spec import ProgramJobSpec
from worker.machine.disk_use import used_bytes
from worker.machine.sandbox_trial import try_sandbox

NO_CODE = "FITSTOP_ALLOW_CODE=no"
MOST_FILES = 100_000
_LOOK_SECONDS = 5
# Maximum part of the time that checks take: on a network filesystem many files take long.
_PART_OF_TIME = 0.05

log = logging.getLogger(__name__)


def explain_no_programs(allow_code: AllowCode) -> str:
    """Why this worker takes no programs; empty if it does. Tests the sandbox, which takes a fraction of a second."""
    if allow_code == "no":
        return NO_CODE
    if allow_code == "unboxed":
        log.warning("FITSTOP_ALLOW_CODE=unboxed: programs run with all rights of this worker")
        return ""
    openings = try_sandbox().openings
    if not openings:
        return ""
    log.warning("no programs: scripts cannot be confined on this machine: %s", openings)
    return f"scripts cannot be confined on this machine: {openings}"


def runs_program(job: JobFolder) -> bool:
    """Whether the job runs a program; False if it cannot be read."""
    with suppress(UnusableDocument, OSError):
        record = job.record()
        return record is not None and isinstance(record.spec, ProgramJobSpec)
    return False


class FilesWatch:
    """Checks from time to time what a program has written into its attempt's folder; does nothing for other jobs."""

    def __init__(self, attempt: AttemptFolder, settings: Settings) -> None:
        self._folder = attempt.path
        self._most_bytes = settings.program_files_bytes
        self._next_look = time.monotonic() + _LOOK_SECONDS if runs_program(attempt.job) else float("inf")

    def is_too_much(self) -> bool:
        """Whether the program has written more bytes or files than it may."""
        began = time.monotonic()
        if began < self._next_look:
            return False
        found = _measure(self._folder, self._most_bytes)
        taken = time.monotonic() - began
        self._next_look = time.monotonic() + max(_LOOK_SECONDS, taken / _PART_OF_TIME)
        return found


def _measure(folder: Path, most_bytes: int) -> bool:
    files = size = 0
    with suppress(OSError):
        for used in used_bytes(folder):
            files, size = files + 1, size + used
            if files > MOST_FILES or size > most_bytes:
                return True
    return False
