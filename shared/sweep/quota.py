"""`quota/` in a sweep's folder: whether its project has reached a quota of bytes or of a month, in numbered files.

Only the API knows what a project uses (`api/state/quota_watch.py`), and every worker may propose the next trial.
"""

import os

from shared.document import Document, read_document
from shared.durable import create_file, encode, make_folder
from shared.job import as_json
from shared.job_quota import find_full_quota
from shared.project import ProjectQuota, ProjectQuotas, quota_of
from shared.sweep.folder import SweepFolder, SweepRecord, sweep_folder
from shared.times import Time
from shared.volume import Volume


class QuotaWord(Document):
    """`quota/<number>.json`: the reached quotas, as text; None if there are none. The newest file applies."""

    said_at: Time
    reached: str | None


def is_measured(quota: ProjectQuota) -> bool:
    """Whether a quota has a limit that the API has to measure."""
    return any(limit is not None for limit in (quota.bytes, quota.gpu_seconds_per_month, quota.cost_per_month))


def read_word(sweep: SweepFolder) -> tuple[int, str | None]:
    """The number of the newest word (0 if there is none), and the quotas that are reached."""
    folder = sweep.path / "quota"
    try:
        newest = max((entry.name for entry in os.scandir(folder) if entry.name.endswith(".json")), default=None)
    except FileNotFoundError:
        return 0, None
    word = read_document(folder / newest, QuotaWord) if newest else None
    return (int(newest.removesuffix(".json")), word.reached) if newest and word else (0, None)


def say_word(sweep: SweepFolder, number: int, word: QuotaWord) -> bool:
    """Store a word. False if another process has stored one with this number.

    Raises FileNotFoundError if the sweep is gone.
    """
    folder = sweep.path / "quota"
    make_folder(folder, within=sweep.path)
    return create_file(folder / f"{number:06d}.json", encode(as_json(word)))


def find_reason_to_wait(volume: Volume, quotas: ProjectQuotas, sweep: SweepRecord) -> str | None:
    """The quotas of its project that delay the next trial of a sweep; None if it may start."""
    full = find_full_quota(volume, quotas, sweep.project)
    if full is None and is_measured(quota_of(quotas, sweep.project)):
        return read_word(sweep_folder(volume, sweep.id))[1]
    return full
