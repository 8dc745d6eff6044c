"""The outcome of a job, to compare it with its untouched twin, and whether its files are complete."""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from shared.job_folder import AttemptFolder, JobFolder
from shared.manifest import read_manifest
from shared.volume import Volume
from tests.support.killing import Outcome, _weights_digest, final_state


def outcome_of(job: JobFolder) -> Outcome:
    """Everything of a succeeded job that must be equal, as a reader sees it: from its newest attempt."""
    result = job.result()
    assert result is not None
    attempt = job.attempts()[-1]
    return Outcome(
        ending=result.ending.model_dump(mode="json"),
        log=attempt.training_log.read_bytes(),
        checkpoints=[
            (one.name, one.epoch, _weights_digest(attempt.checkpoints / one.name))
            for one in read_manifest(attempt.manifest_file).checkpoints
        ],
        final_state=_last_state(job, result.ending.stop is not None and result.ending.stop.reason == "early_stopping"),
    )


def _last_state(job: JobFolder, was_stopped: bool) -> str:
    """The state after the last epoch; empty if the number of epochs ended the run, which need not have saved it."""
    if not was_stopped:
        return ""
    holders = [attempt for attempt in job.attempts() if any(attempt.resume.glob("point-*"))]
    return final_state(holders[-1])


def differences(found: Outcome, twin: Outcome) -> list[str]:
    """The names of the parts that differ."""
    return [part for part in ("ending", "log", "checkpoints", "final_state") if _part(found, part) != _part(twin, part)]


def _part(outcome: Outcome, part: str) -> object:
    return getattr(outcome, part)


def torn_files(volume: Volume) -> Iterator[str]:
    """Yield every visible file that is torn, with what is wrong."""
    for path in sorted(volume.root.rglob("*.json")):
        if not path.name.startswith("."):
            yield from _torn_json(path)
    for job_id in volume.job_ids():
        for attempt in volume.job_folder(job_id).attempts():
            yield from _torn_checkpoints(attempt)
            yield from _torn_events(attempt)


def _torn_json(path: Path) -> Iterator[str]:
    try:
        json.loads(path.read_bytes())
    except ValueError as error:
        yield f"{path}: {error}"


def _torn_checkpoints(attempt: AttemptFolder) -> Iterator[str]:
    named = {one.name: one for one in read_manifest(attempt.manifest_file).checkpoints}
    for one in named.values():
        path = attempt.checkpoints / one.name
        if not path.exists():
            yield f"{path}: the manifest names it and it is not there"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != one.sha256:
            yield f"{path}: its bytes are not those of the manifest"
    for path in attempt.checkpoints.glob("*.keras"):
        if path.name not in named and not _is_whole_model(path):
            yield f"{path}: a half file under a visible name"


def _is_whole_model(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError):
        return False


def _torn_events(attempt: AttemptFolder) -> Iterator[str]:
    """Yield torn lines. Only the last line of a killed attempt may be torn, and readers know that."""
    if not attempt.events_file.exists():
        return
    for number, line in enumerate(attempt.events_file.read_bytes().split(b"\n")[:-1], 1):
        try:
            json.loads(line)
        except ValueError:
            yield f"{attempt.events_file}: line {number}"
