"""Where an attempt began to train and how far it got, from the names of its resume points and from its events.

Only the training process knows the content of a resume point.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from shared.events import Event, read_events
from shared.job_folder import AttemptFolder, JobFolder
from shared.mirror.attached import missing_files

_NAME = re.compile(r"point-(\d{7})-(\d{9})\.bin")


@dataclass(frozen=True, order=True)
class Place:
    """The position of a run: finished epochs, and finished batches of the next epoch."""

    epochs: int = 0
    batches: int = 0


def point_name(epochs: int, batches: int) -> str:
    """The file name of a point after these epochs and batches of the next epoch. Names sort as their places do."""
    return f"point-{epochs:07d}-{batches:09d}.bin"


def place_of(path: Path) -> Place:
    """The place in a point's file name."""
    found = _NAME.fullmatch(path.name)
    assert found is not None
    return Place(int(found[1]), int(found[2]))


def points_of(attempt: AttemptFolder) -> list[Path]:
    """The attempt's points, newest first."""
    try:
        found = [path for path in attempt.resume.iterdir() if _NAME.fullmatch(path.name)]
    except (FileNotFoundError, NotADirectoryError):
        found = []
    # Points in the bucket that are not on this machine: whatever reads a large one fetches it.
    found += [attempt.resume / name for name in missing_files(attempt.resume) if _NAME.fullmatch(name)]
    return sorted(found, key=lambda path: path.name, reverse=True)


def with_points(job: JobFolder) -> AttemptFolder | None:
    """The newest attempt of a job that has resume points, or what it inherited; None if no points are left."""
    return next((run for run in reversed(job.runs()) if points_of(run)), None)


def start_of(attempt: AttemptFolder) -> Place | None:
    """Where the attempt began to train; None if it did not begin."""
    for _, event in read_events(attempt.events_file):
        place = _resumed_at(event)
        if place is not None:
            return place
        if event.type == "epoch":
            return Place()
    return Place() if points_of(attempt) else None


def made_progress(attempt: AttemptFolder) -> bool:
    """Whether the attempt has a resume point beyond the place where it began."""
    points, start = points_of(attempt), start_of(attempt)
    return bool(points) and start is not None and place_of(points[0]) > start


def _resumed_at(event: Event) -> Place | None:
    """The place in a `resume` event; None for every other event."""
    epoch, batch = event.data.get("epoch"), event.data.get("batch")
    if event.type != "resume" or not isinstance(epoch, int) or not isinstance(batch, int):
        return None
    return Place(epoch - 1, batch)
