"""Waiting for a job to change: its files are polled, and the wait ends when the client disconnects."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.annotations import last_change
from shared.job_folder import ATTEMPTS, CANCEL_FILE, PLAN_FILE, RESULT_FILE, SPEC_FILE, JobFolder
from shared.stamps import file_stamp

LOOK_SECONDS = 0.25

Mark = tuple[object, ...]


def wait_for_look(environ: Mapping[str, Any]) -> bool:
    """Wait for LOOK_SECONDS. Return False as soon as the client of this request disconnects."""
    leaves_within = environ.get("fitstop.leaves_within")
    if leaves_within is not None:
        return not leaves_within(LOOK_SECONDS)
    time.sleep(LOOK_SECONDS)
    return True


def mark(job: JobFolder, queue: Path) -> Mark:
    """A value that changes whenever a job's report may change. It comes from names and sizes; no file is read.

    `queue` is the folder of the open jobs, from which the place of a waiting job follows.
    """
    # Strings cost less than paths, and each poll of a job calls this.
    folder = str(job.path)
    files: list[Path | str] = [f"{folder}/{name}" for name in (SPEC_FILE, RESULT_FILE, CANCEL_FILE, PLAN_FILE)]
    attempts = job.attempts() if os.path.exists(f"{folder}/{ATTEMPTS}") else []  # noqa: PTH110
    last = attempts[-1] if attempts else None
    if last is not None:
        files += (last.claim_file, last.events_file, last.manifest_file, last.end_file)
    if last is None or last.end_file.exists():
        files.append(queue)
    return len(attempts), last_change(folder), *map(file_stamp, files)
