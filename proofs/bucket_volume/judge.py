"""Finds what is broken at the end, from the content of the bucket."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from proofs.bucket_volume.jobs import Kind
from proofs.bucket_volume.stand import ADDRESS, Stand
from proofs.chaos.record import Record
from proofs.chaos.trainers import lives, overlaps
from proofs.chaos.watcher import Trainer
from proofs.say import say
from shared.events import job_events
from shared.job_folder import JobFolder
from shared.store.folder import FolderStore
from shared.store.opening import open_bucket
from shared.volume import Volume

# The error codes with which the faults may end an attempt.
EXPLAINED = frozenset({"worker_lost", "killed", "no_child", "volume_error", "data_missing"})
# What stays in a bucket after everything was deleted: names of deleted objects, hints, turns, records of posts, and for
# an hour the remains of a trial of the bucket whose process was killed.
STAYS = ("deleted/", "changed/", "turns/", "workers/", "idempotency/", "spent/", "past_jobs/", "fitstop-volume.json",
         ".fitstop-trial/")  # fmt: skip


def copy_out(folder: Path) -> Volume:
    """Copy the bucket to a disk."""
    bucket, disk = open_bucket(ADDRESS), FolderStore(folder / "out")
    for entry in bucket.list():
        disk.replace(entry.name, bucket.stream(entry.name))
    return Volume(folder / "out")


def find_two_at_once(record: Record) -> list[str]:
    """Find attempts of one job that trained at the same time."""
    lines = record.read("trainer")
    return [f"two at once: {one}" for one in overlaps(lives(lines, lines[-1]["t"])) if not one.is_excused]


def find_not_cancelled(volume: Volume, jobs: list[str]) -> list[str]:
    """Find the jobs that should be cancelled and are not."""
    results = ((job, volume.job_folder(job).result()) for job in jobs)
    return [
        f"{job} was to be cancelled and is {result.ending.status if result else 'lost'}"
        for job, result in results
        if result is None or result.ending.status != "cancelled"
    ]


def compare(job: JobFolder, kind: Kind, expected: Any) -> list[str]:
    """Find the differences between a job and its twin."""
    if job.result() is None:
        return [f"{job.id} is lost"]
    try:
        outcome = kind.outcome(job)
    except (OSError, ValueError, IndexError, AssertionError) as error:
        return [f"{job.id}: {type(error).__name__}: {error}"]
    return [f"{job.id}: another {part}" for part in vars(expected) if getattr(outcome, part) != getattr(expected, part)]


def find_unexplained(volume: Volume, jobs: list[str]) -> list[str]:
    """Find attempts whose end no fault explains."""
    folders, told = [volume.job_folder(job) for job in jobs], Counter[str]()
    for job in folders:
        told.update(one.event.type for one in job_events(job) if one.event.type == "resume")
        told["attempts"] += len(job.attempts())
    say(f"attempts and resumes: {dict(told)}")
    ends = [(f"{job.id} attempt {attempt.number}", attempt.end()) for job in folders for attempt in job.attempts()]
    return [
        f"{name}: {json.dumps(end and end.model_dump(mode='json'))[:300]}"
        for name, end in ends
        if end is None or end.is_failure or (end.error is not None and end.error.code not in EXPLAINED)
    ]


def ends_of(volume: Volume, trainers: list[Trainer]) -> Counter[str]:
    """Count how the attempts of these processes ended, by outcome and code."""
    ends = [attempt.end() for one in trainers for attempt in volume.job_folder(one.job).attempts()
            if attempt.number == one.attempt]  # fmt: skip
    return Counter(f"{end.outcome} {end.error.code if end.error else ''}".strip() for end in ends if end)


def leftovers(stand: Stand, jobs: list[str]) -> list[str]:
    """Delete everything, and return what stays in the bucket."""
    for job in jobs:
        stand.ask("DELETE", f"/jobs/{job}")
    for path in ("/datasets/grades", "/datasets/digits", "/programs/script"):
        stand.ask("DELETE", path)
    names = [entry.name for entry in open_bucket(ADDRESS).list()]
    return [f"left in the bucket: {name}" for name in names if not name.startswith(STAYS)]
