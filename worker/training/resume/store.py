"""A job's resume points on the volume: written by their attempt, read by the next one."""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from shared.durable import make_folder
from shared.job import JobRecord, stored
from shared.job_folder import AttemptFolder
from worker.training.resume.point import DamagedPoint, Place, ResumePoint, read_point, write_point

_KEPT = 2
_NAME = re.compile(r"point-(\d{7})-(\d{9})\.bin")
_LIBRARIES = ("tensorflow", "tensorflow-cpu", "keras", "numpy")

log = logging.getLogger(__name__)


def owner_of(record: JobRecord) -> str:
    """Whose point it is: the job, what it asked for and the data it was posted with, as one hash."""
    identity = {name: stored(record)[name] for name in ("id", "spec", "task", "data_sha256")}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def built_with() -> dict[str, str]:
    """The versions whose other values could give other bits."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name.removesuffix("-cpu")] = version(name)
        except ModuleNotFoundError:
            continue
    return found


def save_point(attempt: AttemptFolder, point: ResumePoint) -> int:
    """Write a point, then forget all but the last two. The answer is its size in bytes."""
    make_folder(attempt.resume)
    size = write_point(attempt.resume / _name(point.place), point)
    for old in _files(attempt)[_KEPT:]:
        old.unlink(missing_ok=True)
    return size


def newest_point(
    attempt: AttemptFolder,
    owner: str,
    usable: Callable[[AttemptFolder, ResumePoint], None],
    tell: Callable[[str], None],
) -> tuple[AttemptFolder, ResumePoint] | None:
    """The newest point of the attempts before this one that is whole and ours; None where there is none.

    `usable` raises DamagedPoint where what a point refers to is not there. Each point that cannot be used is told.
    """
    for earlier, path in _candidates(attempt):
        try:
            point = read_point(path)
            if point.owner != owner:
                raise DamagedPoint(f"{path.name} belongs to another job or to other data")
            usable(earlier, point)
        except (DamagedPoint, OSError, ValueError, KeyError) as error:
            tell(f"the resume point of attempt {earlier.number} cannot be used: {error}; the one before it is")
            continue
        return earlier, point
    return None


def _candidates(attempt: AttemptFolder) -> Iterator[tuple[AttemptFolder, Path]]:
    earlier = [other for other in attempt.job.attempts() if other.number < attempt.number]
    for other in reversed(earlier):
        for path in _files(other):
            yield other, path


def _files(attempt: AttemptFolder) -> list[Path]:
    """The attempt's points, newest first."""
    try:
        names = [path for path in attempt.resume.iterdir() if _NAME.fullmatch(path.name)]
    except FileNotFoundError:
        return []
    return sorted(names, key=lambda path: path.name, reverse=True)


def _name(place: Place) -> str:
    return f"point-{place.epoch:07d}-{place.step:09d}.bin"
