"""The names of resume points, which say where each of them goes on; what is in them only the training program knows."""

import re
from pathlib import Path

from shared.history import Place
from shared.job_folder import AttemptFolder

_NAME = re.compile(r"point-(\d{7})-(\d{9})\.bin")


def point_name(epochs: int, batches: int) -> str:
    """The file's name of a point behind so many whole epochs and batches of the next; names sort as places do."""
    return f"point-{epochs:07d}-{batches:09d}.bin"


def place_of(path: Path) -> Place:
    """The place that a point's name says."""
    found = _NAME.fullmatch(path.name)
    assert found is not None
    return Place(int(found[1]), int(found[2]))


def points_of(attempt: AttemptFolder) -> list[Path]:
    """The attempt's points, newest first."""
    try:
        found = [path for path in attempt.resume.iterdir() if _NAME.fullmatch(path.name)]
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda path: path.name, reverse=True)
