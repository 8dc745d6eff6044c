"""Copies the log and the checkpoints of the previous attempt, so that a new attempt's folder has the whole run."""

import hashlib
import json

from shared.document import parse_document
from shared.durable import link_file, make_folder, replace_file, sync_folder
from shared.job_folder import AttemptFolder
from shared.manifest import Checkpoint, Manifest, write_manifest
from worker.training.hashing import sha256_of
from worker.training.resume.point import DamagedPoint, ResumePoint


def check_log(earlier: AttemptFolder, point: ResumePoint) -> None:
    """Raise DamagedPoint if the earlier attempt's log lacks rows that the point refers to."""
    _rows(earlier, point)


def check_manifest(point: ResumePoint) -> None:
    """Raise UnusableDocument if the point's manifest cannot be read."""
    _manifest(point)


def take_over(earlier: AttemptFolder, attempt: AttemptFolder, point: ResumePoint) -> None:
    """Copy the log's rows up to the point, and the checkpoints and the manifest at the point, to the attempt's folder.

    The files of the earlier attempt are not changed, because its process may still run. A checkpoint that was replaced
    after the point is left out: the resumed run writes it again, with the same content.
    """
    if point.log_bytes:
        replace_file(attempt.training_log, _rows(earlier, point))
    make_folder(attempt.checkpoints, within=attempt.path)
    manifest = _manifest(point)
    kept = tuple(one for one in manifest.checkpoints if _link(one, earlier, attempt))
    sync_folder(attempt.checkpoints)
    best = manifest.best if any(one.name == manifest.best for one in kept) else None
    write_manifest(attempt.manifest_file, Manifest(best=best, checkpoints=kept))


def _manifest(point: ResumePoint) -> Manifest:
    return parse_document(json.dumps(point.manifest).encode(), Manifest, "its manifest")


def _rows(earlier: AttemptFolder, point: ResumePoint) -> bytes:
    if not point.log_bytes:
        return b""
    with earlier.training_log.open("rb") as file:
        rows = file.read(point.log_bytes)
    if hashlib.sha256(rows).hexdigest() != point.log_sha256:
        raise DamagedPoint("its training_log.csv lacks rows of that epoch")
    return rows


def _link(one: Checkpoint, earlier: AttemptFolder, attempt: AttemptFolder) -> bool:
    source, target = earlier.checkpoints / one.name, attempt.checkpoints / one.name
    if not source.exists() or sha256_of(source) != one.sha256:
        return False
    target.unlink(missing_ok=True)
    link_file(source, target)
    return True
