"""Cleans up after ended attempts: half-written files, half-saved models, replaced resume points."""

import logging
import shutil

from shared.durable import is_temporary
from shared.job_folder import AttemptFolder, JobFolder

log = logging.getLogger(__name__)


def sweep_out(job: JobFolder) -> None:
    """Remove unreadable and unneeded files of attempts that have ended.

    An owner that was declared lost and still writes finds its half-written files removed: everything that it writes is
    void. The newest resume points stay, which may be those of an earlier attempt or of another job, so that a finished
    job can be extended; and every attempt keeps what it has published.
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
    """Remove what an attempt that has ended left half-written; a resume point of a large model is hundreds of MB."""
    try:
        _remove_halves(attempt)
    except OSError as error:
        log.warning("leftovers of %s attempt %d could not be removed: %s", attempt.job.id, attempt.number, error)


def _remove_halves(attempt: AttemptFolder) -> None:
    shutil.rmtree(attempt.checkpoints / ".partial", ignore_errors=True)
    files = attempt.path / "files"
    shutil.rmtree(files / ".tmp", ignore_errors=True)
    for path in attempt.path.rglob(".*"):
        # What a program calls its files is its own matter.
        if is_temporary(path) and not path.is_relative_to(files):
            path.unlink(missing_ok=True)
