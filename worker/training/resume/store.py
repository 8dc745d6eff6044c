"""The resume points of a job on the volume. An attempt writes them, and the next attempt reads them."""

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
    """The owner that a point names: the SHA-256 of the bytes of the job's `spec.json`.

    Not a hash of the parsed spec, which would change when a version adds a field with a default.
    """
    return hashlib.sha256(spec).hexdigest()


def first_owner_of(spec: bytes) -> str:
    """The owner as the first versions wrote it, whose documents have no `format`.

    They hashed all fields of the spec except the budget. `spec.json` had all of these fields.
    """
    record = json.loads(spec)
    identity = {name: record[name] for name in ("id", "spec", "task", "data_sha256")}
    identity["spec"].pop("budget", None)
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def save_point(attempt: AttemptFolder, point: ResumePoint, reserve_bytes: int = 0, finished: str | None = None) -> int:
    """Write a point, remove all but the last two, and return the size in bytes.

    With `finished`, the file has that name and is the record of a run that has ended, which is never removed. Raises
    OSError (ENOSPC) and writes nothing if the volume has no space for it in addition to `reserve_bytes`.
    """
    make_folder(attempt.resume, within=attempt.path)
    name = finished or point_name(point.place.epoch, point.place.step)
    size = write_point(attempt.resume / name, point, reserve_bytes)
    for old in points_of(attempt)[_KEPT:]:
        old.unlink(missing_ok=True)
    return size


def remove_older(attempt: AttemptFolder) -> None:
    """Remove the points of earlier attempts that are not needed any more, before an attempt that runs a program.

    A program's process may not write to the folders of earlier attempts. The last two points of all attempts stay, with
    all points of the same attempts.
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
    """Remove what the points of `attempt` replace; True once two points have replaced everything.

    Two usable points stay: after the attempt's first point, `resumed_from` is the other one. After its second point,
    the points of all earlier attempts are removed, and also their checkpoints if the attempt has its own. Those
    attempts have ended, and nothing reads these files any more. What the job inherited stays.
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
    """The newest usable point of the earlier attempts, with its attempt and path; None if there is none.

    What the job inherited counts as an attempt; its points belong to the job that it was inherited from. A record with
    the name `finished` comes before all points. `usable` adapts a point to this run, returns None for a point of
    another run of the job, and raises DamagedPoint if something that the point refers to is missing.

    `report` gets a message for each point that is damaged or of an unknown version, and one if no point can be used.
    Raises OSError if no point can be used and one could not be read: the volume has failed, and starting again from the
    first epoch would lose the points on it.
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
    """Whether the point belongs to the job; an inherited point, to the job that it was inherited from."""
    spec = (earlier.job.spec_file if earlier.number else earlier.extended_spec_file).read_bytes()
    return point.owner in {owner_of(spec), first_owner_of(spec)}


def _candidates(attempt: AttemptFolder, finished: str | None) -> Iterator[tuple[AttemptFolder, Path]]:
    earlier = [other for other in attempt.job.runs() if other.number < attempt.number]
    records = [(other, other.resume / finished) for other in reversed(earlier)] if finished else []
    yield from ((other, path) for other, path in records if path.exists())
    for other in reversed(earlier):
        for path in points_of(other):
            yield other, path
