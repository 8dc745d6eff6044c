"""`shares/` in a job's folder: what a trial may use of its sweep's budget, in a numbered file for each change."""

import os
from pathlib import Path

from shared.document import read_document
from shared.durable import create_file, encode, make_folder
from shared.job import SweepShare, as_json
from shared.job_folder import JobFolder


def shares_folder(job: JobFolder) -> Path:
    return job.path / "shares"


def read_share(job: JobFolder) -> SweepShare | None:
    """The newest share of the job in its sweep's budget; None if it has none."""
    folder = shares_folder(job)
    try:
        newest = max((entry.name for entry in os.scandir(folder) if entry.name.endswith(".json")), default=None)
    except FileNotFoundError:
        return None
    return read_document(folder / newest, SweepShare) if newest else None


def give_share(job: JobFolder, number: int, share: SweepShare) -> None:
    """Write what the job may use of its sweep's budget; the share with the highest number counts.

    Raises FileNotFoundError if the job's folder does not exist.
    """
    folder = shares_folder(job)
    path = folder / f"{number:06d}.json"
    if not path.exists():
        make_folder(folder, within=job.path)
        create_file(path, encode(as_json(share)))
