"""Removes what ended attempts leave: incomplete files, incomplete models, replaced resume points."""

import logging
import shutil

from shared.durable import is_temporary
from shared.job_folder import AttemptFolder, JobFolder

log = logging.getLogger(__name__)


def sweep_out(job: JobFolder) -> None:
    """Remove the incomplete files and the old resume points of attempts that have ended.

    The newest resume points stay, so that the finished job can be extended; they may be those of an earlier attempt or
    of the job that it extends. Complete files of all attempts stay. The worker of a lost attempt may still write, but
    nothing that it writes counts.
    """
    runs = job.runs()
    with_points = [attempt for attempt in runs if any(attempt.resume.glob("point-*"))]
    for attempt in runs:
        if attempt.number and not attempt.end_file.exists():
            continue
        remove_halves(attempt)
        if attempt in with_points[:-1]:
            shutil.rmtree(attempt.resume, ignore_errors=True)


def remove_halves(attempt: AttemptFolder) -> None:
    """Remove the incomplete files of an attempt that has ended; a resume point may have hundreds of MB."""
    try:
        _remove_halves(attempt)
    except OSError as error:
        log.warning("leftovers of %s attempt %d could not be removed: %s", attempt.job.id, attempt.number, error)


def _remove_halves(attempt: AttemptFolder) -> None:
    shutil.rmtree(attempt.checkpoints / ".partial", ignore_errors=True)
    files = attempt.path / "files"
    shutil.rmtree(files / ".tmp", ignore_errors=True)
    for path in attempt.path.rglob(".*"):
        # Not in the program's folder, where a file may have any name.
        if is_temporary(path) and not path.is_relative_to(files):
            path.unlink(missing_ok=True)
