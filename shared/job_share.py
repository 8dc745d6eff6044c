"""`shares/` in a job's folder: what a trial may use of the budget of its sweep, each word to it a numbered file."""

import os
from pathlib import Path

from shared.document import read_document
from shared.durable import create_file, encode, make_folder
from shared.job import SweepShare, as_json
from shared.job_folder import JobFolder


def shares_folder(job: JobFolder) -> Path:
    return job.path / "shares"


def read_share(job: JobFolder) -> SweepShare | None:
    """What the job may use of its sweep's budget, by the newest word; None where it is bound to none."""
    folder = shares_folder(job)
    try:
        newest = max((entry.name for entry in os.scandir(folder) if entry.name.endswith(".json")), default=None)
    except FileNotFoundError:
        return None
    return read_document(folder / newest, SweepShare) if newest else None


def give_share(job: JobFolder, number: int, share: SweepShare) -> None:
    """Say what the job may use of its sweep's budget; the share with the highest number stands.

    Raises FileNotFoundError where the job's folder is gone.
    """
    folder = shares_folder(job)
    path = folder / f"{number:06d}.json"
    if not path.exists():
        make_folder(folder, within=job.path)
        create_file(path, encode(as_json(share)))
