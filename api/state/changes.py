"""Waiting for a job without a busy disk: looks now and then, and notices when the client has left."""

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
    """Wait until it is time to look again; False when the client of this request has left meanwhile."""
    leaves_within = environ.get("fitstop.leaves_within")
    if leaves_within is not None:
        return not leaves_within(LOOK_SECONDS)
    time.sleep(LOOK_SECONDS)
    return True


def mark(job: JobFolder, queue: Path) -> Mark:
    """What changes whenever a job's report may change; a few looks at names and sizes, and nothing is read.

    `queue` is the folder of the open jobs: while the job waits its place follows from it.
    """
    # Strings cost less than paths, and this is what a job costs that is asked for again and again.
    folder = str(job.path)
    files: list[Path | str] = [f"{folder}/{name}" for name in (SPEC_FILE, RESULT_FILE, CANCEL_FILE, PLAN_FILE)]
    attempts = job.attempts() if os.path.exists(f"{folder}/{ATTEMPTS}") else []  # noqa: PTH110
    last = attempts[-1] if attempts else None
    if last is not None:
        files += (last.claim_file, last.events_file, last.manifest_file, last.end_file)
    if last is None or last.end_file.exists():
        files.append(queue)
    return len(attempts), last_change(folder), *map(file_stamp, files)
