"""`quota/` in a sweep's folder: whether its project has reached a quota of bytes or of a month, each word a file.

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
    """`quota/<number>.json`: which quotas are reached, in words; None: none any more. The newest word stands."""

    said_at: Time
    reached: str | None


def is_measured(quota: ProjectQuota) -> bool:
    """Whether a quota has a limit that the API has to measure."""
    return any(limit is not None for limit in (quota.bytes, quota.gpu_seconds_per_month, quota.cost_per_month))


def read_word(sweep: SweepFolder) -> tuple[int, str | None]:
    """The number of the newest word (0 before the first), and which quotas are reached."""
    folder = sweep.path / "quota"
    try:
        newest = max((entry.name for entry in os.scandir(folder) if entry.name.endswith(".json")), default=None)
    except FileNotFoundError:
        return 0, None
    word = read_document(folder / newest, QuotaWord) if newest else None
    return (int(newest.removesuffix(".json")), word.reached) if newest and word else (0, None)


def say_word(sweep: SweepFolder, number: int, word: QuotaWord) -> bool:
    """Say a word; False where another process has said one of this number.

    Raises FileNotFoundError where the sweep is gone.
    """
    folder = sweep.path / "quota"
    make_folder(folder, within=sweep.path)
    return create_file(folder / f"{number:06d}.json", encode(as_json(word)))


def find_reason_to_wait(volume: Volume, quotas: ProjectQuotas, sweep: SweepRecord) -> str | None:
    """Which quotas of its project keep the next trial of a sweep; None where it may start."""
    full = find_full_quota(volume, quotas, sweep.project)
    if full is None and is_measured(quota_of(quotas, sweep.project)):
        return read_word(sweep_folder(volume, sweep.id))[1]
    return full
