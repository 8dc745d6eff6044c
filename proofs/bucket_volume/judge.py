"""What is broken at the end, by the content of the bucket."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from proofs.bucket_volume.jobs import Kind
from proofs.bucket_volume.stand import ADDRESS, Stand
from proofs.chaos.outcomes import torn_files
from proofs.chaos.trainers import lives, overlaps
from proofs.chaos.watcher import Trainer
from proofs.say import say
from shared.events import job_events
from shared.job_folder import JobFolder
from shared.store.folder import FolderStore
from shared.store.opening import open_bucket
from shared.volume import Volume

# What the faults do to an attempt ends it in one of these ways.
EXPLAINED = frozenset({"worker_lost", "killed", "no_child", "volume_error", "data_missing"})
# What stays in a bucket after everything was deleted: names of what was deleted, hints, turns, records of posts, and
# for an hour what a trial of the bucket has left whose process was killed.
STAYS = ("deleted/", "changed/", "turns/", "workers/", "idempotency/", "spent/", "past_jobs/", "fitstop-volume.json",
         ".fitstop-trial/")  # fmt: skip


def judge(
    folder: Path, stand: Stand, found: list[Kind], expected: list[Any], posted: dict[str, int], cancelled: list[str]
) -> list[str]:
    """What is broken, by a copy of the bucket on a disk."""
    bucket, disk = open_bucket(ADDRESS), FolderStore(folder / "out")
    for entry in bucket.list():
        disk.replace(entry.name, bucket.stream(entry.name))
    volume = Volume(folder / "out")
    broken = [f"torn: {one}" for one in torn_files(volume)]
    lines = stand.record.read("trainer")
    broken += [f"two at once: {one}" for one in overlaps(lives(lines, lines[-1]["t"])) if not one.is_excused]
    if extra := set(volume.job_ids()) - set(posted) - set(cancelled):
        broken.append(f"jobs that nobody posted: {extra}")
    resumed: Counter[str] = Counter()
    for job_id in [*posted, *cancelled]:
        job = volume.job_folder(job_id)
        result = job.result()
        if result is None:
            broken.append(f"{job_id} is lost")
            continue
        if job_id in posted:
            kind = posted[job_id]
            broken += compare(job, found[kind], expected[kind])
        elif result.ending.status != "cancelled":
            broken.append(f"{job_id} was to be cancelled and is {result.ending.status}")
        broken += find_unexplained(job)
        resumed.update(one.event.type for one in job_events(job) if one.event.type == "resume")
        resumed["attempts"] += len(job.attempts())
    say(f"attempts and resumes: {dict(resumed)}")
    return broken


def compare(job: JobFolder, kind: Kind, expected: Any) -> list[str]:
    try:
        outcome = kind.outcome(job)
    except (OSError, ValueError, IndexError, AssertionError) as error:
        return [f"{job.id}: {type(error).__name__}: {error}"]
    return [f"{job.id}: another {part}" for part in vars(expected) if getattr(outcome, part) != getattr(expected, part)]


def find_unexplained(job: JobFolder) -> list[str]:
    ends = [(attempt.number, attempt.end()) for attempt in job.attempts()]
    return [
        f"{job.id} attempt {number}: {json.dumps(end and end.model_dump(mode='json'))[:300]}"
        for number, end in ends
        if end is None or end.is_failure or (end.error is not None and end.error.code not in EXPLAINED)
    ]


def ends_of(volume: Volume, trainers: list[Trainer]) -> Counter[str]:
    """How the attempts ended that these processes trained, by outcome and code."""
    ends = [attempt.end() for one in trainers for attempt in volume.job_folder(one.job).attempts()
            if attempt.number == one.attempt]  # fmt: skip
    return Counter(f"{end.outcome} {end.error.code if end.error else ''}".strip() for end in ends if end)


def leftovers(stand: Stand, jobs: list[str]) -> list[str]:
    """What stays in the bucket after all was deleted."""
    for job in jobs:
        stand.ask("DELETE", f"/jobs/{job}")
    for path in ("/datasets/grades", "/datasets/digits", "/programs/script"):
        stand.ask("DELETE", path)
    names = [entry.name for entry in open_bucket(ADDRESS).list()]
    return [f"left in the bucket: {name}" for name in names if not name.startswith(STAYS)]
