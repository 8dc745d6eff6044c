"""Waiting for a job without a busy disk: looks now and then, and notices when the client has left."""

import os
import select
import socket
import time
from pathlib import Path

from shared.job_folder import ATTEMPTS, CANCEL_FILE, PLAN_FILE, RESULT_FILE, SPEC_FILE, JobFolder
from shared.stamps import file_stamp

LOOK_SECONDS = 0.25

Mark = tuple[object, ...]


def waited(client: socket.socket | None) -> bool:
    """Wait until it is time to look again; False when the client has left meanwhile, so that its place is free."""
    if client is None:
        time.sleep(LOOK_SECONDS)
        return True
    if not _is_readable(client):
        return True
    try:
        has_left = client.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return False
    time.sleep(LOOK_SECONDS)
    return not has_left


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
    return len(attempts), *map(file_stamp, files)


def _is_readable(client: socket.socket) -> bool:
    # Not select(), which knows no descriptor above 1023.
    poll = select.poll()
    poll.register(client, select.POLLIN)
    return bool(poll.poll(LOOK_SECONDS * 1000))
