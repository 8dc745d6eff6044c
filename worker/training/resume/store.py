"""A job's resume points on the volume: written by their attempt, read by the next one."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.durable import make_folder
from shared.job_folder import AttemptFolder
from shared.manifest import read_manifest
from shared.points import point_name, points_of
from worker.training.resume.point import DamagedPoint, ResumePoint, read_point, write_point

_KEPT = 2

log = logging.getLogger(__name__)


def owner_of(spec: bytes) -> str:
    """Whose point it is: the job whose `spec.json` holds these bytes.

    Never a hash of what they mean to this version: with a new field and its default it would be another.
    """
    return hashlib.sha256(spec).hexdigest()


def first_owner_of(spec: bytes) -> str:
    """The same as the first versions, whose documents have no `format`, wrote it into their points.

    They hashed all fields of the spec but the budget, and had written all of them into `spec.json`.
    """
    record = json.loads(spec)
    identity = {name: record[name] for name in ("id", "spec", "task", "data_sha256")}
    identity["spec"].pop("budget", None)
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def save_point(attempt: AttemptFolder, point: ResumePoint, reserve_bytes: int = 0, finished: str | None = None) -> int:
    """Write a point, then forget all but the last two. The answer is its size in bytes.

    Under the name `finished` it is the record of a run that has ended, and is never forgotten. Raises OSError (ENOSPC)
    and writes nothing where the volume has no room for it beside `reserve_bytes`.
    """
    make_folder(attempt.resume, within=attempt.path)
    name = finished or point_name(point.place.epoch, point.place.step)
    size = write_point(attempt.resume / name, point, reserve_bytes)
    for old in points_of(attempt)[_KEPT:]:
        old.unlink(missing_ok=True)
    return size


def remove_older(attempt: AttemptFolder) -> None:
    """Before an attempt begins whose process may not write to the folders before it: remove what two points replace.

    The last two points over all attempts stay, with all points of the attempts that they are of.
    """
    newer = 0
    for earlier in reversed(attempt.job.attempts()):
        if earlier.number >= attempt.number:
            continue
        points = points_of(earlier)
        for path in points if newer >= _KEPT else ():
            path.unlink(missing_ok=True)
        newer += len(points)


def remove_replaced(attempt: AttemptFolder, resumed_from: Path | None) -> bool:
    """Remove what a point of `attempt`, on the disk by now, replaces; True once it has replaced everything.

    The last two points that can be used stay, over all attempts: while the attempt has written one, that is the point
    `resumed_from`. Once it has written two, the checkpoints of the attempts before it go as well, if it has its own:
    nobody reads theirs any more. Those attempts have ended; what was inherited stays.
    """
    has_two = len(points_of(attempt)) >= _KEPT
    if not has_two and resumed_from is None:
        return False
    has_checkpoints = bool(read_manifest(attempt.manifest_file).checkpoints)
    for earlier in attempt.job.attempts():
        if earlier.number >= attempt.number:
            continue
        for path in points_of(earlier):
            if has_two or path != resumed_from:
                path.unlink(missing_ok=True)
        if has_two and has_checkpoints:
            shutil.rmtree(earlier.checkpoints, ignore_errors=True)
    return has_two


def newest_point(
    attempt: AttemptFolder,
    usable: Callable[[AttemptFolder, ResumePoint], ResumePoint | None],
    report: Callable[[str], None],
    finished: str | None = None,
) -> tuple[AttemptFolder, Path, ResumePoint] | None:
    """The newest point of the attempts before this one that is whole and ours; None where there is none.

    A record with the name `finished` goes before all points.

    What was inherited counts as an attempt, whose points belong to the job that it was inherited from. `usable` makes
    the point this run's own, answers None for a point of another run of the job, and raises DamagedPoint where what it
    refers to is not there. Each point that cannot be used is reported: damaged, or written by a version that this one
    does not understand. So is that none can.
    Raises OSError where none can be used and a point could not be read: the volume fails, and beginning at the
    beginning would throw away what it holds.
    """
    unread: OSError | None = None
    is_refused = False
    for earlier, path in _candidates(attempt, finished):
        try:
            point = read_point(path)
            if not _is_owned(point, earlier):
                raise DamagedPoint(f"{path.name} belongs to another job or to other data")
            own = usable(earlier, point)
        except (DamagedPoint, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            is_refused = True
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                unread = error
            report(f"a resume point of attempt {earlier.number} cannot be used: {error}; trying the one before it")
            continue
        if own is not None:
            return earlier, path, own
    if unread is not None:
        raise unread
    if is_refused:
        report("no resume point can be used, so training starts again from epoch 1")
    return None


def _is_owned(point: ResumePoint, earlier: AttemptFolder) -> bool:
    """Whether the point is of the job, or for what was inherited of the job that it was inherited from."""
    spec = (earlier.job.spec_file if earlier.number else earlier.extended_spec_file).read_bytes()
    return point.owner in {owner_of(spec), first_owner_of(spec)}


def _candidates(attempt: AttemptFolder, finished: str | None) -> Iterator[tuple[AttemptFolder, Path]]:
    earlier = [other for other in attempt.job.runs() if other.number < attempt.number]
    records = [(other, other.resume / finished) for other in reversed(earlier)] if finished else []
    yield from ((other, path) for other, path in records if path.exists())
    for other in reversed(earlier):
        for path in points_of(other):
            yield other, path
